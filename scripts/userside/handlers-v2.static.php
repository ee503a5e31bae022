<?php
/**
 * Lines for evolution/CustomEvents/v2/handlers.php of an ERP that scans the file for
 * internal_event(CustomEvent::...) instead of running it: it has then made a file
 * var/cache/CustomEvents/handlers.v2.cache.php. Copy the lines of the events that exist in
 * your ERP, and delete that file after each edit: without that, the edit has no effect.
 *
 * TASK_CREATED is the only task event that UserSide documents. `php check.php --handlers`
 * prints the lines for all events that the connector has seen in your ERP. Each line is
 * complete by itself, because the ERP may run it from the cache.
 */

internal_event(CustomEvent::TASK_CREATED, static function ($event) { if (@is_readable('/opt/erp-calendar/events-v2.php')) { include_once '/opt/erp-calendar/events-v2.php'; erp_calendar_event('TASK_CREATED', $event); } return true; });
