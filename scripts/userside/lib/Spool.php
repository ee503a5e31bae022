<?php
/**
 * What could not be sent, in one file of lines (Notification::line) in a directory of its
 * own:
 *
 *   spool     one line per notification; one that is done with begins with # instead of {
 *   state     what happened: counts of what was lost and why, the last delivery
 *   corrupt   lines that were none of ours, for a person to look at
 *   pause     its time: until then requests do not call Notify but only spool
 *   deliver   the lock that makes deliver.php run once
 *
 * Writers append under a lock of the file that they hold for microseconds; the one
 * deliverer reads without a lock and marks in place, and takes the lock only to tidy up.
 * Both marks and state overwrite bytes that are already there, so that a full disk stops
 * new lines but neither delivery nor the counts. Nothing here is ever renamed: a writer
 * that waits for the lock has the right file in its hands.
 */

namespace ErpCalendar;

final class Spool
{
    /** How long requests leave Notify alone after a failure, seconds. */
    const PAUSE = 30;
    /** A writer for whom the page waits has this long to get the lock, seconds, which others hold for microseconds. */
    const PATIENCE = 0.25;
    /** And a writer for whom nobody waits. */
    const LONG_PATIENCE = 2.0;
    const STATE_BYTES = 2048;
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

    /** Opens a file that is made readable by its owner only. */
    private function open($name, $mode)
    {
        $path = $this->file($name);
        $new = !file_exists($path);
        $f = fopen($path, $mode);
        if ($f === false) {
            throw new Fault("$path cannot be written by this user");
        }
        if ($new) {
            call('chmod', $path, 0600); // still empty, and in a directory of the owner's
            if (fileowner($path) !== fileowner($this->dir)) {
                // A script of the ERP that root runs must not shut the web server out.
                call('chown', $path, fileowner($this->dir));
            }
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
        $path = $this->file('pause');
        clearstatcache(true, $path);
        $at = is_file($path) ? (int) filemtime($path) : 0;
        $age = time() - $at;
        return $at > 0 && $age >= 0 && $age < self::PAUSE; // a time ahead is a clock set back: no pause
    }

    public function pause()
    {
        $f = $this->open('pause', 'c');
        fwrite($f, "\n"); // its time is what counts
        fclose($f);
    }

    private function resume()
    {
        if (is_file($this->file('pause'))) {
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

    /** Reads the state; with $change, changes it in place. Failing is silent: counts are a help, not a duty. */
    public function state($change = null)
    {
        return (array) quietly(function () use ($change) {
            if ($change === null && !is_file($this->file('state'))) {
                return [];
            }
            $f = $change === null ? fopen($this->file('state'), 'rb') : $this->open('state', 'c+b');
            try {
                if ($change !== null && !self::lock($f, self::PATIENCE)) {
                    return [];
                }
                $state = json_decode(trim((string) fread($f, self::STATE_BYTES)), true);
                $state = is_array($state) ? $state : [];
                if ($change !== null) {
                    $state = $change($state);
                    rewind($f);
                    self::write($f, str_pad(json_encode($state), self::STATE_BYTES - 1) . "\n");
                }
                return $state;
            } finally {
                fclose($f);
            }
        });
    }

    /** Takes the deliverer's lock; null when another has it after $patience seconds. */
    public function claim($patience)
    {
        $f = $this->open('deliver', 'c');
        if (!self::lock($f, $patience)) {
            fclose($f);
            return null;
        }
        return $f;
    }

    /** Whether there may be something to deliver. */
    public function waiting()
    {
        $path = $this->file('spool');
        clearstatcache(true, $path);
        return file_exists($path) && filesize($path) > 0;
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
        if (!$this->waiting()) {
            return [0, ''];
        }
        $f = fopen($this->file('spool'), 'r+b');
        if ($f === false) {
            throw new Fault($this->file('spool') . ' cannot be read and written by this user');
        }
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
                    break; // a writer is at it, or died: tidy() looks under the lock
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
            // No writer is there while we hold the lock: this one's died.
            $torn = (int) strrpos("\n" . $text, "\n");
            $this->aside(substr($text, $torn));
            $text = substr($text, 0, $torn);
            ftruncate($f, $torn);
        }
        $left = '';
        foreach (explode("\n", $text) as $line) {
            if ($line !== '' && $line[0] !== '#') {
                $left .= $line . "\n";
            }
        }
        if ($left === '') {
            ftruncate($f, 0);
        } elseif (strlen($left) < strlen($text) / 2) {
            rewind($f);
            if (self::write($f, $left)) {
                ftruncate($f, strlen($left));
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
        $n = $ids = $oldest = $bytes = 0;
        $f = is_file($this->file('spool')) ? fopen($this->file('spool'), 'rb') : false;
        if ($f !== false) {
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
    }
}
