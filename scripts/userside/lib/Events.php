<?php
/**
 * What is known of the ERP's events, for check.php: which exist, which are taken, when each
 * came last and what the handler answered. The list of UserSide's events is not public, so
 * only the ERP itself shows it, and whether it calls the handlers at all. Kept in the
 * spool's file "events": names, counts and times, nothing of a task or a person.
 */

namespace ErpCalendar;

final class Events
{
    /** The list is written again after this many seconds, also when no event comes. */
    const LIST_AGE = 86400;
    /** Most names that are kept. */
    const MOST = 400;

    /** @var array|null name => taken, as this request's register saw them */
    private static $list = null;
    /** @var array name => [time, ids] of this request */
    private static $came = [];

    /** Notes which events exist (name => whether it is taken). */
    public static function exist(array $list)
    {
        self::$list = $list;
        quietly(static function () {
            $age = (new Spool(Config::get()))->eventsAge();
            if ($age === null || $age > self::LIST_AGE) {
                Connector::atEnd();
            }
        });
    }

    /** Notes that an event came, and how many ids were found in it. */
    public static function came($name, $ids)
    {
        if (is_string($name) && preg_match('/^[A-Za-z][A-Za-z0-9_:\\\\]{0,99}$/D', $name)) {
            self::$came[$name] = [time(), $ids];
            Connector::atEnd();
        }
    }

    /** Writes what this request has noted, if anything. */
    public static function save(Spool $spool)
    {
        if (self::$came === [] && self::$list === null) {
            return;
        }
        $list = self::$list;
        $came = self::$came;
        self::$came = [];
        $spool->events(static function (array $e) use ($list, $came) {
            if ($list !== null) {
                $e['listed_at'] = time();
                $e['exist'] = array_slice($list, 0, self::MOST, true);
            }
            $all = $came + (isset($e['came']) && is_array($e['came']) ? $e['came'] : []);
            $e['came'] = array_slice($all, 0, self::MOST, true);
            return $e;
        });
    }

    /** What is known: ['listed_at' => time or 0, 'exist' => name => taken, 'came' => name => [time, ids]]. */
    public static function known(Spool $spool)
    {
        $e = $spool->events();
        $known = ['listed_at' => isset($e['listed_at']) ? (int) $e['listed_at'] : 0, 'exist' => [], 'came' => []];
        foreach (isset($e['exist']) && is_array($e['exist']) ? $e['exist'] : [] as $name => $taken) {
            $known['exist'][(string) $name] = (bool) $taken;
        }
        foreach (isset($e['came']) && is_array($e['came']) ? $e['came'] : [] as $name => $last) {
            if (is_array($last) && isset($last[0], $last[1]) && is_int($last[0]) && is_int($last[1])) {
                $known['came'][(string) $name] = $last;
            }
        }
        return $known;
    }
}
