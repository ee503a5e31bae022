<?php
/** From the ERP's events to ids. The two adapters are this class in the ERP's two forms. */

namespace ErpCalendar;

final class Adapter
{
    /** Where an event's ids are, by its subject; the first field that is there counts. */
    const FIELDS = ['TASK' => ['task_id', 'taskId'], 'EMPLOYEE' => ['employee_id', 'employeeId', 'staff_id']];

    /**
     * Legacy events that are known by name (shared/userside/README.md): the type, and the field,
     * or the first argument where they come one by one. The one named "before" announces a
     * change that may not come. It is acted on only after the request, as all are, and the
     * task is read then, so it costs nothing.
     */
    const LEGACY = [
        'task_state_change_before' => ['task.changed', 'taskId'],
        'task_state_change' => ['task.changed', 'taskId'],
    ];

    /** Events that run before something happens or make part of a page: what their handlers answer counts. */
    const LEFT_ALONE = '/_(BEFORE|RENDER|VALIDATE|FILTER)$/Di';

    /** Registers handlers for Custom Events v2. */
    public static function register($class, $register)
    {
        if (!is_callable($register)) {
            note('no event is listened to: there is no function to register handlers with');
            return;
        }
        $exist = [];
        foreach (self::names($class) as $name) {
            $constant = strpos($name, '::') === false ? $class . '::' . $name : $name;
            if (!defined($constant)) {
                continue;
            }
            $exist[$name] = self::target($name) !== null ? 1 : 0;
            if ($exist[$name] === 1) {
                quietly(static function () use ($register, $constant, $name) {
                    $register(constant($constant), static function ($event = null) use ($name) {
                        return Adapter::event($name, $event);
                    });
                });
            }
        }
        Events::exist($exist);
    }

    /** One of Custom Events v2; true is the ERP's word for "fine", and the answer always. */
    public static function event($name, $event)
    {
        quietly(static function () use ($name, $event) {
            $to = self::target($name);
            Events::came($name, $to === null ? 0 : Connector::record($to[0], self::field($event, $to[1])));
        });
        return true;
    }

    /** The constants of the class, and what the configuration names besides. */
    private static function names($class)
    {
        $names = [];
        if (class_exists($class) || interface_exists($class)) {
            foreach (array_keys((new \ReflectionClass($class))->getConstants()) as $name) {
                if (preg_match('/^[A-Z][A-Z0-9]*_[A-Z0-9_]+$/D', $name)) {
                    $names[] = $name;
                }
            }
        }
        return array_unique(array_merge($names, array_keys(self::configured('events'))));
    }

    /**
     * What an event makes: [type of notification, fields that may hold the id]; null where it
     * is not taken. An event that is neither a task's nor an employee's is taken for the
     * task that it may name; the employee it names is mostly the one who clicked.
     */
    private static function target($name)
    {
        $configured = self::configured('events');
        if (isset($configured[$name])) {
            return $configured[$name] === false ? null : [$configured[$name][0], [$configured[$name][1]]];
        }
        if (preg_match(self::LEFT_ALONE, $name)) {
            return null;
        }
        $subject = strncmp($name, 'EMPLOYEE_', 9) === 0 ? 'EMPLOYEE' : 'TASK';
        // Only the thing's own deletion vouches for an absence, not e.g. a comment's.
        $end = in_array($name, [$subject . '_DELETED', $subject . '_REMOVED'], true) ? '.deleted' : '.changed';
        return [strtolower($subject) . $end, self::FIELDS[$subject]];
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
        $to = isset($known[$name]) ? $known[$name] : null;
        if ($to === null && strncmp($name, 'task_', 5) === 0 && !preg_match(self::LEFT_ALONE, $name)) {
            // Not known by name: only an id that is named counts.
            $named = self::named($args, self::FIELDS['TASK']);
            Events::came($name, $named === null ? 0 : Connector::record('task.changed', $named));
            return;
        }
        Events::came($name, is_array($to) ? Connector::record($to[0], self::legacyID($args, $to[1])) : 0);
    }

    /** The id of a legacy event that is known by name: at a position, by its name, or else the first value. */
    private static function legacyID(array $args, $where)
    {
        if (is_int($where)) {
            return isset($args[$where]) ? $args[$where] : null;
        }
        $named = self::named($args, [$where]);
        if ($named !== null) {
            return $named;
        }
        // Without names the id comes first (shared/userside/README.md).
        $first = is_array($args[1]) ? reset($args[1]) : $args[1];
        return is_array($first) ? null : $first;
    }

    /** The first value that one of the arguments has under one of the names. */
    private static function named(array $args, array $fields)
    {
        foreach ($args as $arg) {
            $value = is_array($arg) || is_object($arg) ? self::field($arg, $fields) : null;
            if ($value !== null) {
                return $value;
            }
        }
        return null;
    }
}
