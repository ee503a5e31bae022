<?php
/**
 * Adapter for the ERP's older form, one function api_function($name, $arg1 ... $arg5) in a
 * file of the customer's:
 *
 *     function api_function($name, $arg1 = null, $arg2 = null, $arg3 = null, $arg4 = null, $arg5 = null)
 *     {
 *         if (@is_readable('/opt/erp-calendar/legacy.php')) {
 *             include_once '/opt/erp-calendar/legacy.php';
 *             erp_calendar_api_function($name, $arg1, $arg2, $arg3, $arg4, $arg5);
 *         }
 *         return true;
 *     }
 *
 * The true matters: any other answer, also none, may forbid what the dispatcher is doing.
 * This file never defines api_function itself: where the ERP has one, PHP would stop.
 */

if (!function_exists('erp_calendar_api_function')) {
    /** Notes one event. Returns true, which lets the ERP go on, whatever happens. */
    function erp_calendar_api_function($name, $arg1 = null, $arg2 = null, $arg3 = null, $arg4 = null, $arg5 = null)
    {
        set_error_handler(static function () {
            return true;
        });
        try {
            include_once __DIR__ . '/lib/load.php';
            \ErpCalendar\Adapter::legacy($name, [1 => $arg1, $arg2, $arg3, $arg4, $arg5]);
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
