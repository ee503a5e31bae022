<?php
/** From the ERP's events to ids. The two adapters are this class in the ERP's two forms. */

namespace ErpCalendar;

final class Adapter
{
    /** Where the ids are, by the event's subject; the first that is there counts. */
    const FIELDS = ['TASK' => ['task_id', 'taskId'], 'EMPLOYEE' => ['employee_id', 'employeeId', 'staff_id']];

    /**
     * Legacy events that are known by name (shared/userside/README.md): field, and position where the
     * arguments come one by one. The one named "before" tells of a change that may not
     * come: it is looked at only after the request, like all, and then costs nothing.
     */
    const LEGACY = [
        'task_state_change_before' => ['task.changed', 'taskId'],
        'task_state_change' => ['task.changed', 'taskId'],
    ];

    /** Registers handlers for Custom Events v2. */
    public static function register($class, $register)
    {
        if (!is_callable($register)) {
            note('no event is listened to: there is no function to register handlers with');
            return;
        }
        $wanted = self::byName($class);
        foreach (self::configured('events') as $name => $to) {
            unset($wanted[$name]);
            if ($to !== false) {
                $wanted[$name] = [$to[0], [$to[1]]];
            }
        }
        foreach ($wanted as $name => $to) {
            $constant = strpos($name, '::') === false ? $class . '::' . $name : $name;
            if (!defined($constant)) {
                continue;
            }
            list($type, $fields) = $to;
            quietly(static function () use ($register, $constant, $type, $fields) {
                $register(constant($constant), static function ($event = null) use ($type, $fields) {
                    quietly(static function () use ($event, $type, $fields) {
                        Connector::record($type, Adapter::field($event, $fields));
                    });
                    return true; // the ERP's word for "fine"
                });
            });
        }
    }

    /** Constants of the class that are named for something that has happened. */
    private static function byName($class)
    {
        $wanted = [];
        if (class_exists($class) || interface_exists($class)) {
            foreach (array_keys((new \ReflectionClass($class))->getConstants()) as $name) {
                if (preg_match('/^(TASK|EMPLOYEE)_([A-Z0-9]+_)*[A-Z]+ED$/D', $name, $m)) {
                    // Only the thing's own deletion vouches for an absence, not e.g. a comment's.
                    $end = in_array($name, [$m[1] . '_DELETED', $m[1] . '_REMOVED'], true) ? '.deleted' : '.changed';
                    $wanted[$name] = [strtolower($m[1]) . $end, self::FIELDS[$m[1]]];
                }
            }
        }
        return $wanted;
    }

    /** The configuration's names; none while it is at fault, which the end of a request will note. */
    private static function configured($which)
    {
        try {
            $config = Config::get();
            return $which === 'events' ? $config->events : $config->legacyEvents;
        } catch (\Throwable $e) {
            return [];
        }
    }

    /** One value of an event: by get(), by all(), or of a plain array or object. */
    public static function field($event, array $fields)
    {
        foreach ($fields as $field) {
            $value = null;
            if (is_array($event)) {
                $value = isset($event[$field]) ? $event[$field] : null;
            } elseif (is_object($event) && is_callable([$event, 'get'])) {
                $value = quietly(static function () use ($event, $field) {
                    return $event->get($field);
                });
            }
            if ($value === null && is_object($event) && is_callable([$event, 'all'])) {
                $all = quietly(static function () use ($event) {
                    return $event->all();
                });
                $value = is_array($all) && isset($all[$field]) ? $all[$field] : null;
            }
            if ($value !== null) {
                return $value;
            }
        }
        return null;
    }

    /** One legacy event. Its first argument is an array of named values, or the arguments are the values. */
    public static function legacy($name, array $args)
    {
        if (!is_string($name)) {
            return;
        }
        $known = self::configured('legacyEvents') + self::LEGACY;
        if (empty($known[$name])) {
            return;
        }
        list($type, $where) = $known[$name];
        if (is_int($where)) {
            Connector::record($type, isset($args[$where]) ? $args[$where] : null);
            return;
        }
        foreach ($args as $arg) {
            if (is_array($arg) || is_object($arg)) {
                $value = self::field($arg, [$where]);
                if ($value !== null) {
                    Connector::record($type, $value);
                    return;
                }
            }
        }
        // Without names the id comes first: shared/userside/README.md lists it so.
        $first = is_array($args[1]) ? reset($args[1]) : $args[1];
        Connector::record($type, is_array($first) ? null : $first);
    }
}
