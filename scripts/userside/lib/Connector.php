<?php
/**
 * What the adapters call inside the ERP's request: it collects ids, and after the response
 * has gone to the browser it sends them or keeps them for deliver.php. It must never print,
 * throw, raise an error that the ERP's handlers see, or keep the dispatcher waiting.
 */

namespace ErpCalendar;

final class Connector
{
    /** All sending of one request together ends after this many seconds. */
    const SECONDS = 1.0;
    /** A long script of the ERP (import, daemon) spools what it has after this many seconds. */
    const LONG = 2.0;

    /** @var array type => [id => true] */
    private static $ids = [];
    private static $registered = false;
    private static $since = 0.0;

    /** Notes ids of one type, from whatever an event gave; returns how many. */
    public static function record($type, $value)
    {
        $ids = Notification::ids($value);
        if ($ids === [] || !in_array($type, Notification::TYPES, true)) {
            return 0;
        }
        if (self::$ids === []) {
            self::$since = microtime(true);
        }
        foreach ($ids as $id) {
            self::$ids[$type][$id] = true;
        }
        self::atEnd();
        if (PHP_SAPI === 'cli' && microtime(true) - self::$since > self::LONG) {
            self::spool();
        }
        return count($ids);
    }

    /** Has this request end with ended(). */
    public static function atEnd()
    {
        if (!self::$registered) {
            self::$registered = true;
            register_shutdown_function([self::class, 'ending']);
        }
    }

    /** The request has ended, but other shutdown functions may still print: run after them. */
    public static function ending()
    {
        register_shutdown_function([self::class, 'ended']);
    }

    /** The very end. */
    public static function ended()
    {
        quietly(static function () {
            $finished = self::finishPage();
            if (self::$ids === []) {
                // An event came, but no id in it.
            } elseif ($finished || PHP_SAPI === 'cli') {
                self::send();
            } else {
                // Apache's module and PHP's own server send the page only after we return.
                // Even where a flush would do, the ERP's buffers and compression decide when
                // the browser has all of it. So no call is made: the spool is written in a
                // fraction of a millisecond, and deliver.php sends it.
                self::spool();
            }
        }, static function ($e) {
            note('nothing was sent (' . words($e) . '); the poll will find what changed');
        });
        quietly(static function () {
            Events::save(new Spool(Config::get()));
        });
    }

    /** Sends the page to the browser where PHP can do that before it ends; reports whether it did. */
    private static function finishPage()
    {
        foreach (['fastcgi_finish_request', 'litespeed_finish_request'] as $finish) {
            if (function_exists($finish)) {
                call('ignore_user_abort', true);
                $finish();
                // Else the same person's next page would wait for the session's lock.
                if (function_exists('session_status') && session_status() === PHP_SESSION_ACTIVE) {
                    session_write_close();
                }
                return true;
            }
        }
        return false;
    }

    /** The notifications of what was noted so far, which is then forgotten. */
    private static function collect()
    {
        $all = [];
        foreach (self::$ids as $type => $ids) {
            $all = array_merge($all, Notification::of($type, array_keys($ids), time()));
        }
        self::$ids = [];
        return $all;
    }

    private static function spool()
    {
        $spool = new Spool(Config::get());
        $spool->keep(self::collect(), PHP_SAPI === 'cli' ? Spool::LONG_PATIENCE : Spool::PATIENCE);
        if (PHP_SAPI === 'cli') {
            Events::save($spool); // this script may run for days
        }
    }

    private static function send()
    {
        $config = Config::get();
        $spool = new Spool($config);
        $unsent = self::collect();
        $deadline = microtime(true) + self::SECONDS;
        if (!$spool->paused()) {
            $client = new Client($config);
            $skipped = [];
            while ($unsent !== [] && microtime(true) < $deadline) {
                list($outcome, $words) = $client->send($unsent[0], $deadline - microtime(true));
                if ($outcome === Client::LATER) {
                    $spool->pause();
                    $spool->attempted(false, $words);
                    break;
                }
                $n = array_shift($unsent);
                if ($outcome === Client::SKIP) {
                    $skipped[] = $n;
                } elseif ($outcome === Client::REFUSED) {
                    $spool->count('refused', count($n->ids));
                    $spool->attempted(false, $words);
                }
            }
            $unsent = array_merge($skipped, $unsent);
        }
        if ($unsent !== []) {
            $spool->keep($unsent, Spool::LONG_PATIENCE); // the page is out
        }
    }
}
