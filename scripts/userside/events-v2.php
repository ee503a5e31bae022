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
 * namespace it imports the class from.
 */

if (!function_exists('erp_calendar_events')) {
    /**
     * Registers a handler for each event that tells of a task or an employee. The list of
     * UserSide's events is not public and differs between versions, so what is taken is
     * every constant that exists and is named for something that has happened: TASK_ or
     * EMPLOYEE_ first, a past participle last (TASK_CREATED, TASK_EMPLOYEE_ADDED). Others,
     * such as ..._BEFORE or ..._RENDER, are not touched: a handler's answer may mean
     * something there. The configuration's 'events' adds some and takes others out. One
     * needless notification costs nothing (the task is read again and found unchanged).
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
}
