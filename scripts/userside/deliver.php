<?php
/**
 * Delivers the spool. From cron, as the web server's user:
 *
 *     * * * * * www-data php /opt/erp-calendar/deliver.php --for=58
 *
 * Without --for it delivers what is there and ends. With it, it stays that many seconds and
 * delivers what comes within a quarter of a second, so that a change is in the calendar
 * seconds later under Apache's module, too. Only one runs at a time. It prints nothing
 * unless its installation is at fault; the exit code is 1 when something is undelivered.
 */

namespace ErpCalendar;

if (PHP_SAPI !== 'cli') {
    exit(1); // not for web servers
}
ini_set('display_errors', 'stderr');
require_once __DIR__ . '/lib/load.php';

/** How often an empty spool is checked, microseconds. */
const INTERVAL = 250000;
/** One notification takes no longer than this, seconds: an instance may have to start. */
const PATIENT = 10;
/** One pass through the spool may take this long, seconds, also when --for is over. */
const PASS = 30;

exit((static function (array $args) {
    $for = 0;
    foreach (array_slice($args, 1) as $arg) {
        if (!preg_match('/^--for=([0-9]{1,9})$/D', $arg, $m)) {
            fwrite(STDERR, "usage: php deliver.php [--for=SECONDS]\n");
            return 1;
        }
        $for = (int) $m[1];
    }
    // Without usleep (disable_functions) it could only wait in a busy loop.
    $end = microtime(true) + (function_exists('usleep') ? $for : 0);
    try {
        $config = Config::get();
        if (function_exists('posix_geteuid') && is_dir($config->spool) && fileowner($config->spool) !== posix_geteuid()) {
            throw new Fault('this user does not own ' . $config->spool . ': run it as the web server\'s user');
        }
        $spool = new Spool($config);
        // The one before may still be waiting for its last answer.
        $lock = quietly(static function () use ($spool, $for) {
            return ['lock' => $spool->claim($for > 0 ? min($for, PATIENT + 2) : 0)];
        });
        if ($lock === null) {
            throw new Fault($config->spool . ' cannot be written by this user');
        }
        if ($lock['lock'] === null) {
            return 0;
        }
        return run($spool, new Client($config), $end);
    } catch (\Throwable $e) {
        fwrite(STDERR, 'erp-calendar: ' . plain(words($e)) . "; see: php check.php\n");
        return 1;
    }
})($argv));

/** Delivers until $end, and once at least. */
function run(Spool $spool, Client $client, $end)
{
    $rest = $told = 0;
    $said = false;
    while (true) {
        if (time() - $told >= 30) {
            $told = time();
            $spool->delivering();
        }
        $until = max($end, microtime(true) + PASS);
        $result = quietly(static function () use ($spool, $client, $until) {
            return $spool->deliver(static function (Notification $n) use ($client) {
                return $client->send($n, PATIENT);
            }, $until);
        }, static function ($e) use (&$said) {
            if (!$said) {
                $said = true;
                fwrite(STDERR, 'erp-calendar: ' . plain(words($e)) . "; see: php check.php\n");
            }
        });
        $failed = $result === null || $result[1] !== '';
        // While Notify is down: 1, 2, 4 ... 30 s.
        $rest = $failed ? min(30, max(1, 2 * $rest)) : 0;
        if (microtime(true) + $rest + INTERVAL / 1e6 >= $end) {
            return $failed || $spool->length()[0] > 0 ? 1 : 0;
        }
        usleep((int) ($rest * 1e6) ?: INTERVAL);
    }
}
