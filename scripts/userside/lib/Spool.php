<?php
/**
 * What could not be sent, in one file of lines (Notification::line) in a directory of its
 * own:
 *
 *   spool     one line per notification; one that is done with begins with # instead of {
 *   state     what happened: counts of what was lost and why, the last delivery
 *   events    which events the ERP has, and when they came (Events)
 *   corrupt   damaged lines, for a person to look at
 *   pause     its time: until then requests do not call Notify but only spool
 *   deliver   the lock that makes deliver.php run once
 *
 * Writers append under a lock of the file that they hold for microseconds; the one
 * deliverer reads without a lock and marks in place, and locks the file only to tidy up.
 * Both marks and state overwrite bytes that are already there, so that a full disk stops
 * new lines but neither delivery nor the counts. Nothing here is ever renamed: a writer
 * that waits for the lock has the right file open.
 *
 * All of it is done as the directory's owner, the web server's user, and never through a
 * link: that user can put links into the directory, and a script of the ERP that root runs
 * must not follow them.
 */

namespace ErpCalendar;

final class Spool
{
    /** How long requests leave Notify alone after a failure, seconds. */
    const PAUSE = 30;
    /** How long a writer waits for the lock while the page waits for it, seconds; others hold it for microseconds. */
    const PATIENCE = 0.25;
    /** And how long once the page is out. */
    const LONG_PATIENCE = 2.0;
    const STATE_BYTES = 2048;
    const EVENTS_BYTES = 65536;
    const CORRUPT_MOST = 65536;

    private $dir;
    private $maxBytes;
    private $maxAge;

    public function __construct(Config $config)
    {
        $this->dir = $config->spool;
        $this->maxBytes = $config->maxBytes;
        $this->maxAge = $config->maxAge;
    }

    public function file($name)
    {
        return $this->dir . '/' . $name;
    }

    /** Runs $do as the user who owns the directory; throws Fault where that cannot be. */
    private function asOwner($do)
    {
        $dir = self::stat($this->dir);
        if ($dir === null || ($dir['mode'] & 0170000) !== 0040000) {
            throw new Fault($this->dir . ' is not there, or no directory of its own');
        }
        $user = self::user();
        if ($user === $dir['uid']) {
            return $do();
        }
        if ($user !== 0 || !function_exists('posix_seteuid') || !function_exists('posix_setegid')) {
            throw new Fault($this->dir . ' belongs to another user than this process');
        }
        $group = posix_getegid();
        try {
            if (!posix_setegid($dir['gid']) || !posix_seteuid($dir['uid'])) {
                throw new Fault($this->dir . ' belongs to another user than this process');
            }
            return $do();
        } finally {
            posix_seteuid(0);
            posix_setegid($group);
        }
    }

    /** The user id that this process works as. */
    public static function user()
    {
        static $cached = null;
        if (function_exists('posix_geteuid')) {
            return posix_geteuid();
        }
        if ($cached === null || function_exists('posix_seteuid')) {
            $f = tmpfile(); // a file that this process makes belongs to its user
            if ($f === false) {
                throw new Fault('which user this is cannot be found out: install PHP\'s posix extension');
            }
            $cached = fstat($f)['uid'];
            fclose($f);
        }
        return $cached;
    }

    /** What is at a path, also of a link itself; null: nothing. */
    private static function stat($path)
    {
        clearstatcache(true, $path);
        $stat = quietly(static function () use ($path) {
            return lstat($path); // warns where there is nothing
        });
        return is_array($stat) ? $stat : null;
    }

    /** Whether a path is there: as a file of its own, not a link or one with several names. */
    private function exists($name)
    {
        $path = $this->file($name);
        $stat = self::stat($path);
        if ($stat === null) {
            return false;
        }
        if (($stat['mode'] & 0170000) !== 0100000 || $stat['nlink'] > 1) {
            throw new Fault("$path cannot be read and written by this user: it is a link or no file");
        }
        return true;
    }

    /** Opens a file; a new one is readable by its owner only. */
    private function open($name, $mode)
    {
        $path = $this->file($name);
        $this->exists($name);
        $mask = umask(0077);
        try {
            $f = fopen($path, $mode);
        } finally {
            umask($mask);
        }
        if ($f === false) {
            throw new Fault("$path cannot be read and written by this user");
        }
        // Its owner may have exchanged it meanwhile.
        $opened = fstat($f);
        if ($this->exists($name) && ($now = self::stat($path)) !== null && ($now['ino'] !== $opened['ino'] || $now['dev'] !== $opened['dev'])) {
            fclose($f);
            throw new Fault("$path was exchanged while it was opened");
        }
        if (($opened['mode'] & 0077) !== 0 && $opened['size'] === 0) {
            call('chmod', $path, 0600); // the directory's ACL counts for more than the mask
        }
        return $f;
    }

    private static function lock($f, $patience)
    {
        $until = microtime(true) + $patience;
        while (!flock($f, LOCK_EX | LOCK_NB)) {
            if (microtime(true) >= $until) {
                return false;
            }
            call('usleep', 1000);
        }
        return true;
    }

    /**
     * Keeps notifications, each wholly or not at all. What is not kept is counted, noted in
     * the error log, and left to the poll and the nightly run.
     */
    public function keep(array $notifications, $patience)
    {
        $lost = ['full' => 0, 'unwritten' => 0];
        try {
            $this->asOwner(function () use ($notifications, $patience, &$lost) {
                $f = $this->open('spool', 'c+b');
                try {
                    if (!self::lock($f, $patience)) {
                        throw new Fault($this->file('spool') . ' stayed locked');
                    }
                    foreach ($notifications as $n) {
                        $how = $this->append($f, $n->line());
                        if ($how !== '') {
                            $lost[$how] += count($n->ids);
                        }
                    }
                } finally {
                    fclose($f); // and unlocks
                }
            });
        } catch (\Throwable $e) {
            foreach ($notifications as $n) {
                $lost['unwritten'] += count($n->ids);
            }
            $lost['full'] = 0;
            note('ids were lost (' . words($e) . '); the poll will find what changed');
        }
        foreach (array_filter($lost) as $why => $count) {
            note("$count ids were lost, the spool was " . ($why === 'full' ? 'at its bound' : 'not written (disk full?)') . '; the poll will find what changed');
            $this->count($why, $count);
        }
    }

    private function append($f, $line)
    {
        $size = fstat($f)['size'];
        if ($size > 0) {
            fseek($f, $size - 1);
            if (fread($f, 1) !== "\n") {
                $line = "\n" . $line; // a writer died in the middle of its line
            }
        }
        if ($size + strlen($line) > $this->maxBytes) {
            return 'full';
        }
        fseek($f, $size);
        if (self::write($f, $line)) {
            return '';
        }
        ftruncate($f, $size);
        return 'unwritten';
    }

    private static function write($f, $bytes)
    {
        while ($bytes !== '') {
            $n = fwrite($f, $bytes);
            if ($n === false || $n === 0) {
                return false;
            }
            $bytes = (string) substr($bytes, $n);
        }
        return fflush($f);
    }

    /** Whether requests should leave Notify alone for now. */
    public function paused()
    {
        return (bool) quietly(function () {
            return $this->asOwner(function () {
                $at = $this->exists('pause') ? (int) filemtime($this->file('pause')) : 0;
                $age = time() - $at;
                return $at > 0 && $age >= 0 && $age < self::PAUSE; // in the future: the clock was set back
            });
        });
    }

    public function pause()
    {
        $this->asOwner(function () {
            $f = $this->open('pause', 'c');
            fwrite($f, "\n"); // its time is what counts
            fclose($f);
        });
    }

    private function resume()
    {
        if ($this->exists('pause')) {
            unlink($this->file('pause'));
        }
    }

    /** Adds to a count of what was lost: full, unwritten, refused, expired, corrupt. */
    public function count($why, $n)
    {
        $this->state(static function (array $s) use ($why, $n) {
            $s['lost'][$why] = (isset($s['lost'][$why]) ? $s['lost'][$why] : 0) + $n;
            $s['lost_at'] = time();
            return $s;
        });
    }

    /** Notes what an attempt came to, for check.php. */
    public function attempted($accepted, $words)
    {
        $this->state(static function (array $s) use ($accepted, $words) {
            if ($accepted) {
                $s['accepted_at'] = time();
            } else {
                $s['failed_at'] = time();
                $s['failed'] = $words;
            }
            return $s;
        });
    }

    /** Notes that the cron job is alive. */
    public function delivering()
    {
        $this->state(static function (array $s) {
            $s['delivering_at'] = time();
            return $s;
        });
    }

    /** Reads the state; with $change, changes it in place. Failing is silent: counts help, but nothing depends on them. */
    public function state($change = null)
    {
        return $this->record('state', self::STATE_BYTES, $change);
    }

    /** Reads what is known of events; with $change, changes it. */
    public function events($change = null)
    {
        return $this->record('events', self::EVENTS_BYTES, $change);
    }

    /** How many seconds ago the events were written; null: never, or they cannot be read. */
    public function eventsAge()
    {
        return quietly(function () {
            return $this->asOwner(function () {
                return $this->exists('events') ? time() - self::stat($this->file('events'))['mtime'] : null;
            });
        });
    }

    /** Reads a file that holds one JSON object of at most $bytes, padded; with $change, changes it in place. */
    private function record($name, $bytes, $change)
    {
        return (array) quietly(function () use ($name, $bytes, $change) {
            return $this->asOwner(function () use ($name, $bytes, $change) {
                if ($change === null && !$this->exists($name)) {
                    return [];
                }
                $f = $this->open($name, $change === null ? 'rb' : 'c+b');
                try {
                    if ($change !== null && !self::lock($f, self::PATIENCE)) {
                        return [];
                    }
                    $values = json_decode(trim((string) stream_get_contents($f, $bytes)), true);
                    $values = is_array($values) ? $values : [];
                    if ($change !== null) {
                        $values = $change($values);
                        $text = json_encode($values);
                        if (is_string($text) && strlen($text) < $bytes) {
                            // Padded, so that most changes need no new room on the disk.
                            $size = min($bytes, 4096 * (1 + intdiv(strlen($text), 4096)));
                            rewind($f);
                            self::write($f, str_pad($text, $size - 1) . "\n") && ftruncate($f, $size);
                        }
                    }
                    return $values;
                } finally {
                    fclose($f);
                }
            });
        });
    }

    /** Gets the deliverer's lock; null when another still holds it after $patience seconds. */
    public function claim($patience)
    {
        return $this->asOwner(function () use ($patience) {
            $f = $this->open('deliver', 'c');
            if (!self::lock($f, $patience)) {
                fclose($f);
                return null;
            }
            return $f;
        });
    }

    /** Whether there may be something to deliver. */
    private function waiting()
    {
        return $this->exists('spool') && self::stat($this->file('spool'))['size'] > 0;
    }

    /**
     * Delivers line by line until the end, a failure that the rest would share, or
     * $deadline. Call it with the deliverer's lock held. At least once: a line is marked
     * after Notify has it.
     *
     * @param callable $send gets a Notification, gives [outcome, words]
     * @return array [accepted, failure: '' or words]
     */
    public function deliver($send, $deadline)
    {
        return $this->asOwner(function () use ($send, $deadline) {
            return $this->waiting() ? $this->deliverLines($send, $deadline) : [0, ''];
        });
    }

    private function deliverLines($send, $deadline)
    {
        $f = $this->open('spool', 'r+b');
        $accepted = 0;
        $failure = '';
        $untidy = false;
        try {
            $at = 0;
            while (microtime(true) < $deadline) {
                fseek($f, $at);
                $line = fgets($f);
                if ($line === false) {
                    break;
                }
                if (substr($line, -1) !== "\n") {
                    $untidy = true;
                    break; // its writer is not done, or died: tidy() finds out under the lock
                }
                $here = $at;
                $at += strlen($line);
                if ($line[0] === '#' || $line === "\n") {
                    $untidy = true;
                    continue;
                }
                $n = Notification::parse($line);
                if ($n === null) {
                    $this->aside($line);
                } elseif (time() - $n->at > $this->maxAge) {
                    $this->count('expired', count($n->ids));
                } else {
                    list($outcome, $words) = $send($n);
                    if ($outcome === Client::LATER) {
                        $failure = $words;
                        break;
                    }
                    if ($outcome === Client::SKIP) {
                        $failure = $words;
                        continue;
                    }
                    if ($outcome === Client::ACCEPTED) {
                        $accepted++;
                    } else {
                        $this->count('refused', count($n->ids));
                        $this->attempted(false, $words);
                    }
                }
                fseek($f, $here);
                $untidy = true;
                if (fwrite($f, '#') !== 1) {
                    throw new Fault($this->file('spool') . ' cannot be marked');
                }
            }
            if ($untidy) {
                $this->tidy($f);
            }
        } finally {
            fclose($f);
        }
        if ($accepted > 0) {
            $this->attempted(true, '');
        }
        if ($failure !== '') {
            $this->attempted(false, $failure);
        } elseif ($accepted > 0) {
            $this->resume();
        }
        return [$accepted, $failure];
    }

    /**
     * Empties the file when all its lines are done, and moves what is not to its beginning
     * when much is. It is rewritten in place, which needs no free disk; a death in the
     * middle leaves lines twice and at most one torn at the seam, whose other copy follows.
     */
    private function tidy($f)
    {
        if (!self::lock($f, 5)) {
            return;
        }
        $size = fstat($f)['size'];
        rewind($f);
        $text = (string) stream_get_contents($f, $size);
        if ($text !== '' && substr($text, -1) !== "\n") {
            // No writer is at work while we hold the lock: this one died.
            $torn = (int) strrpos("\n" . $text, "\n");
            $this->aside(substr($text, $torn));
            $text = substr($text, 0, $torn);
            ftruncate($f, $torn);
        }
        $undelivered = '';
        foreach (explode("\n", $text) as $line) {
            if ($line !== '' && $line[0] !== '#') {
                $undelivered .= $line . "\n";
            }
        }
        if ($undelivered === '') {
            ftruncate($f, 0);
        } elseif (strlen($undelivered) < strlen($text) / 2) {
            rewind($f);
            if (self::write($f, $undelivered)) {
                ftruncate($f, strlen($undelivered));
            }
        }
        flock($f, LOCK_UN);
    }

    private function aside($line)
    {
        $this->count('corrupt', 1);
        quietly(function () use ($line) {
            $f = $this->open('corrupt', 'ab');
            if (fstat($f)['size'] + strlen($line) < self::CORRUPT_MOST) {
                fwrite($f, rtrim($line, "\n") . "\n");
            }
            fclose($f);
        });
    }

    /** What waits: [notifications, ids, time of the oldest or 0, bytes of the file]. */
    public function length()
    {
        return $this->asOwner(function () {
            $n = $ids = $oldest = $bytes = 0;
            if ($this->exists('spool')) {
                $f = $this->open('spool', 'rb');
                $bytes = fstat($f)['size'];
                while (($line = fgets($f)) !== false) {
                    $one = $line[0] === '#' ? null : Notification::parse($line);
                    if ($one !== null) {
                        $n++;
                        $ids += count($one->ids);
                        $oldest = $oldest === 0 ? $one->at : min($oldest, $one->at);
                    }
                }
                fclose($f);
            }
            return [$n, $ids, $oldest, $bytes];
        });
    }
}
