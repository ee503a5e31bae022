<?php
/**
 * Adapter for Custom Events v2. In evolution/CustomEvents/v2/handlers.php:
 *
 *     if (@is_readable('/opt/erp-calendar/events-v2.php')) {
 *         include_once '/opt/erp-calendar/events-v2.php';
 *         erp_calendar_events(CustomEvent::class);
 *     }
 *
 * CustomEvent::class is written there and not here because only that file knows which
 * namespace it imports the class from. An ERP that scans handlers.php instead of running it
 * needs one literal line per event: handlers-v2.static.php.
 */

if (!function_exists('erp_calendar_events')) {
    /**
     * Registers a handler for every event of the class but those that end in _BEFORE,
     * _RENDER, _VALIDATE or _FILTER, whose handlers' answers mean something. The list of
     * UserSide's events is not public and differs between versions; one needless
     * notification costs nothing (the task is read again and found unchanged). The
     * configuration's 'events' adds some and leaves others out.
     *
     * @param string   $class    the class of the events' constants
     * @param callable $register internal_event, under its full name when it is in a namespace
     */
    function erp_calendar_events($class = 'CustomEvent', $register = 'internal_event')
    {
        set_error_handler(static function () {
            return true;
        });
        try {
            include_once __DIR__ . '/lib/load.php';
            \ErpCalendar\Adapter::register(ltrim($class, '\\'), $register);
        } catch (\Throwable $e) {
            if (function_exists('error_log')) {
                error_log('erp-calendar connector: no event is listened to (' . get_class($e) . ' in ' . basename($e->getFile()) . ' line ' . $e->getLine() . ')');
            }
        } finally {
            restore_error_handler();
        }
    }

    /**
     * Notes one event, for a literal line per event (handlers-v2.static.php). Returns true,
     * which lets the ERP go on, whatever happens.
     */
    function erp_calendar_event($name, $event = null)
    {
        set_error_handler(static function () {
            return true;
        });
        try {
            include_once __DIR__ . '/lib/load.php';
            \ErpCalendar\Adapter::event($name, $event);
        } catch (\Throwable $e) {
            if (function_exists('error_log')) {
                error_log('erp-calendar connector: an event was not noted (' . get_class($e) . ' in ' . basename($e->getFile()) . ' line ' . $e->getLine() . ')');
            }
        } finally {
            restore_error_handler();
        }
        return true;
    }
}
