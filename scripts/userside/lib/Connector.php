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
    /** A long script of the ERP (import, daemon) hands over what it has after this many seconds. */
    const LONG = 2.0;

    /** @var array type => [id => true] */
    private static $ids = [];
    private static $registered = false;
    private static $since = 0.0;

    /** Notes ids of one type; takes whatever an event gave. */
    public static function record($type, $value)
    {
        $ids = Notification::ids($value);
        if ($ids === [] || !in_array($type, Notification::TYPES, true)) {
            return;
        }
        if (self::$ids === []) {
            self::$since = microtime(true);
        }
        foreach ($ids as $id) {
            self::$ids[$type][$id] = true;
        }
        if (!self::$registered) {
            self::$registered = true;
            register_shutdown_function([self::class, 'ending']);
        }
        if (PHP_SAPI === 'cli' && microtime(true) - self::$since > self::LONG) {
            self::spool();
        }
    }

    /** The end of the request, but other shutdown functions may still print: go behind them. */
    public static function ending()
    {
        register_shutdown_function([self::class, 'ended']);
    }

    /** The very end. */
    public static function ended()
    {
        quietly(static function () {
            $finished = self::finishPage();
            if ($finished || PHP_SAPI === 'cli') {
                self::send();
            } else {
                // Apache's module and PHP's own server hand the page over only after we
                // return. Even where a flush would do, compression and buffers of the ERP
                // decide when the browser has all of it. So no call out: the spool is
                // written in a fraction of a millisecond, and deliver.php sends it.
                self::spool();
            }
        }, static function ($e) {
            note('nothing was sent (' . words($e) . '); the poll will find what changed');
        });
    }

    /** Gives the page to the browser where PHP can do that; reports whether it did. */
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

    private static function take()
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
        (new Spool(Config::get()))->keep(self::take(), PHP_SAPI === 'cli' ? Spool::LONG_PATIENCE : Spool::PATIENCE);
    }

    private static function send()
    {
        $config = Config::get();
        $spool = new Spool($config);
        $left = self::take();
        $deadline = microtime(true) + self::SECONDS;
        if (!$spool->paused()) {
            $client = new Client($config);
            $skipped = [];
            while ($left !== [] && microtime(true) < $deadline) {
                list($outcome, $words) = $client->send($left[0], $deadline - microtime(true));
                if ($outcome === Client::LATER) {
                    $spool->pause();
                    $spool->attempted(false, $words);
                    break;
                }
                $n = array_shift($left);
                if ($outcome === Client::SKIP) {
                    $skipped[] = $n;
                } elseif ($outcome === Client::REFUSED) {
                    $spool->count('refused', count($n->ids));
                    $spool->attempted(false, $words);
                }
            }
            $left = array_merge($skipped, $left);
        }
        if ($left !== []) {
            $spool->keep($left, Spool::LONG_PATIENCE); // nobody waits any more
        }
    }
}
