<?php
/** Loads the library; each file once. */

foreach (['Config', 'Client', 'Spool', 'Events', 'Connector', 'Adapter'] as $erpCalendarFile) {
    include_once __DIR__ . '/' . $erpCalendarFile . '.php';
}
unset($erpCalendarFile);
