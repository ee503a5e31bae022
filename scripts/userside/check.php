<?php
/**
 * Checks the installation and says in plain words what is wrong and what to do:
 *
 *     sudo -u www-data php /opt/erp-calendar/check.php
 *
 * It changes nothing, here or there: the signature is proven by asking for the calendar
 * card of employee 1, which Notify answers (200, or 404 for "unknown") when it is right
 * and refuses (401) when it is not; both are tried. Exit code 0 when all is well, 1
 * otherwise. It never shows the secret. With --handlers it prints
 * the literal lines for an ERP that scans its handlers.
 */

namespace ErpCalendar;

if (PHP_SAPI !== 'cli') {
    exit(1); // it shows too much for a web page
}
ini_set('display_errors', 'stderr');
require_once __DIR__ . '/lib/load.php';

final class Check
{
    private $bad = 0;

    private function ok($what)
    {
        echo 'ok    ' . plain($what) . "\n";
    }

    private function warn($what, $cure)
    {
        echo 'warn  ' . plain($what) . "\n      -> " . plain($cure) . "\n";
    }

    private function bad($what, $cure)
    {
        $this->bad++;
        echo 'BAD   ' . plain($what) . "\n      -> " . plain($cure) . "\n";
    }

    private function more($what)
    {
        echo '      ' . plain($what) . "\n";
    }

    /** Prints the literal lines that an ERP needs which scans its handlers. */
    public function handlers()
    {
        $config = $this->config();
        if ($config === null || !$this->directory($config)) {
            return 1;
        }
        echo "\n";
        foreach (Events::known(new Spool($config))['exist'] + ['TASK_CREATED' => true] as $name => $taken) {
            if ($taken && preg_match('/^[A-Z][A-Z0-9_]*$/D', $name)) {
                echo plain(self::line($name)), "\n";
            }
        }
        return $this->bad === 0 ? 0 : 1;
    }

    private static function line($name)
    {
        $file = var_export(__DIR__ . '/events-v2.php', true);
        return "internal_event(CustomEvent::$name, static function (\$event) { if (@is_readable($file)) { include_once $file; erp_calendar_event('$name', \$event); } return true; });";
    }

    public function run()
    {
        $this->ok('connector ' . VERSION);
        $this->php();
        $this->functions();
        $config = $this->config();
        if ($config !== null) {
            $transport = $this->transport($config);
            $spool = new Spool($config);
            if ($this->directory($config)) {
                quietly(function () use ($spool, $config) {
                    $this->spool($spool, $config);
                    $this->events($spool);
                }, function ($e) {
                    $this->bad('spool: ' . words($e), 'run this check as the web server\'s user');
                });
            }
            if ($transport && $this->name($config)) {
                $this->notify($config);
            }
        }
        echo $this->bad === 0 ? "All is well.\n" : ($this->bad === 1 ? "1 thing is wrong.\n" : "$this->bad things are wrong.\n");
        return $this->bad === 0 ? 0 : 1;
    }

    private function php()
    {
        $v = PHP_VERSION;
        if (PHP_VERSION_ID < 70400) {
            $this->bad("PHP $v is older than 7.4", 'run the ERP on PHP 7.4 to 8.3');
        } elseif (PHP_VERSION_ID >= 80400) {
            $this->warn("PHP $v is newer than those this was made for (7.4 to 8.3)", 'look at the error log after the first changes');
        } else {
            $this->ok("PHP $v");
        }
        foreach (['json_encode' => 'json', 'hash_hmac' => 'hash'] as $function => $extension) {
            if (!function_exists($function)) {
                $this->bad("PHP has no $extension extension", "install php-$extension");
            }
        }
    }

    /** The command line may have another php.ini than the web server. */
    private function functions()
    {
        $needed = ['flock', 'fopen', 'fwrite', 'ftruncate', 'fstat', 'lstat', 'umask', 'random_bytes', 'register_shutdown_function', 'set_error_handler', 'parse_url'];
        $gone = array_filter($needed, static function ($function) {
            return !function_exists($function);
        });
        if ($gone !== []) {
            $this->bad('PHP lacks ' . implode(', ', $gone), 'remove them from disable_functions in php.ini, also in the web server\'s');
        }
        if (!function_exists('posix_seteuid')) {
            $this->warn('PHP has no posix extension: what a script of the ERP changes that root runs, only the poll finds', 'install it (Debian: php-common; Red Hat: php-process)');
        }
    }

    private function config()
    {
        $path = Config::path();
        $config = null;
        $why = '';
        $config = quietly(static function () use ($path) {
            return Config::load($path);
        }, static function ($e) use (&$why) {
            $why = words($e);
        });
        if ($config === null) {
            $this->bad("configuration: $why", 'compare it with config.example.php; run this check as the web server\'s user (sudo -u www-data)');
            return null;
        }
        $this->ok("configuration $path is complete");
        $mode = fileperms($path) & 0777;
        if ($mode & 0006) {
            $this->bad(sprintf('configuration: everybody on this machine may read or write it (mode %04o), and it holds the secret', $mode), "chown root:www-data $path && chmod 0640 $path; then change the secret, for it may have been seen");
        } elseif ($mode & 0020) {
            $this->bad(sprintf('configuration: its group may write it (mode %04o), and it is run as PHP', $mode), "chmod 0640 $path");
        } else {
            $this->ok(sprintf('configuration is closed to others (mode %04o)', $mode));
        }
        for ($dir = dirname(realpath($path)); $dir !== dirname($dir); $dir = dirname($dir)) {
            if (is_file("$dir/index.php") || is_file("$dir/index.html") || is_file("$dir/.htaccess")) {
                $this->warn("configuration: $dir looks like a web root", 'move the configuration out of it, to ' . Config::USUAL);
                break;
            }
        }
        return $config;
    }

    private function transport(Config $config)
    {
        $https = stripos($config->url, 'https') === 0;
        if (function_exists('curl_init')) {
            if ($https && !(curl_version()['features'] & CURL_VERSION_SSL)) {
                $this->bad('the curl extension knows no TLS', 'install php-curl of your distribution');
                return false;
            }
            $this->ok('sends by the curl extension ' . curl_version()['version']);
            return true;
        }
        if ($https && !extension_loaded('openssl')) {
            $this->bad('PHP has neither the curl nor the openssl extension', 'install php-curl');
            return false;
        }
        $this->warn('sends by PHP\'s own sockets: the curl extension is not there, and only with it is the DNS bounded in time as well', 'install php-curl');
        return true;
    }

    private function directory(Config $config)
    {
        $dir = $config->spool;
        if (is_link($dir)) {
            $this->bad("spool: $dir is a link", 'name the directory itself in the configuration (spool)');
            return false;
        }
        if (!is_dir($dir)) {
            $this->bad("spool: the directory $dir is not there", "install -d -m 0700 -o www-data $dir");
            return false;
        }
        $links = $this->links($dir);
        $user = quietly(static function () {
            return Spool::user();
        });
        if ($user !== null && fileowner($dir) !== $user) {
            $owner = function_exists('posix_getpwuid') ? posix_getpwuid(fileowner($dir)) : false;
            $name = is_array($owner) ? $owner['name'] : '#' . fileowner($dir);
            $this->bad("spool: $dir belongs to $name, and this check runs as somebody else", "sudo -u '$name' php " . __FILE__ . '; if that is not the web server\'s user, make the directory anew for that user');
            return false;
        }
        $mode = fileperms($dir) & 0777;
        if ($mode & 0077) {
            $this->bad(sprintf('spool: %s is open to others (mode %04o)', $dir, $mode), "chmod 0700 $dir");
        }
        if (!is_writable($dir)) {
            $this->bad("spool: $dir cannot be written", "chmod 0700 $dir; look whether its disk is mounted read-only");
            return false;
        }
        $sound = !in_array('spool', $links, true);
        foreach (array_diff(['spool', 'state', 'events', 'deliver', 'pause', 'corrupt'], $links) as $name) {
            $file = "$dir/$name";
            if (!file_exists($file)) {
                continue;
            }
            if (!is_file($file) || !is_readable($file) || !is_writable($file)) {
                $this->bad("spool: $file cannot be read and written by this user", "chown -h --reference=$dir $file && chmod 0600 $file");
                $sound = $sound && $name !== 'spool';
            } elseif (fileperms($file) & 0077) {
                $this->bad("spool: $file is open to others", "chmod 0600 $file");
            }
        }
        $free = quietly(static function () use ($dir) {
            return disk_free_space($dir);
        });
        if (is_float($free) && $free < $config->maxBytes) {
            $this->bad(sprintf('spool: the disk of %s has %.1f MB left, less than the spool may take', $dir, $free / 1e6), 'make room, or lower spool_max_bytes');
        }
        return $sound;
    }

    /**
     * Names what in the directory is a link or has another name elsewhere. The cure is never
     * to give such a file to somebody: that would give away what it leads to.
     */
    private function links($dir)
    {
        $names = quietly(static function () use ($dir) {
            return scandir($dir);
        });
        $links = [];
        foreach (is_array($names) ? array_diff($names, ['.', '..']) : [] as $name) {
            $file = "$dir/$name";
            $stat = quietly(static function () use ($file) {
                return lstat($file);
            });
            if (is_link($file)) {
                $what = 'is a link, which the connector never follows';
            } elseif (is_array($stat) && !is_dir($file) && $stat['nlink'] > 1) {
                $what = 'has another name elsewhere, so the connector does not touch it';
            } else {
                continue;
            }
            $links[] = $name;
            $this->bad("spool: $file $what", 'find out who made it, then remove it: rm ' . escapeshellarg($file));
        }
        return $links;
    }

    private function events(Spool $spool)
    {
        $known = Events::known($spool);
        $exist = count($known['exist']);
        $taken = count(array_filter($known['exist']));
        $scans = 'an ERP that scans its handlers has a file var/cache/CustomEvents/handlers.v2.cache.php: it needs the lines that php check.php --handlers prints, and that file deleted after each edit';
        if ($exist === 0 && $known['came'] === []) {
            $this->warn('events: the ERP has never called the connector', "put the lines of README.md into the ERP; $scans");
            return;
        }
        if ($known['came'] === []) {
            $this->warn("events: $exist exist in this ERP, $taken are taken, none has come yet", "change a task in the ERP; $scans");
        } else {
            $this->ok("events: $exist exist in this ERP, $taken are taken, the last one came " . self::age(time() - max(array_column($known['came'], 0))) . ' ago');
        }
        $names = array_keys($known['exist'] + $known['came']);
        sort($names);
        foreach ($names as $name) {
            $words = isset($known['exist'][$name]) ? ($known['exist'][$name] ? 'taken' : 'left alone') : 'not of the class';
            if (isset($known['came'][$name])) {
                list($at, $ids) = $known['came'][$name];
                $words .= ', came ' . self::age(time() - $at) . ' ago with ' . ($ids === 1 ? '1 id' : "$ids ids") . ', its handler returned true';
            } elseif (!empty($known['exist'][$name])) {
                $words .= ', has never come';
            }
            $this->more("$name: $words");
        }
    }

    private function spool(Spool $spool, Config $config)
    {
        list($n, $ids, $oldest, $bytes) = $spool->length();
        $state = $spool->state();
        $now = time();
        $last = isset($state['failed_at']) ? '; the last failure was ' . self::age($now - $state['failed_at']) . ' ago: ' . self::failure((string) $state['failed']) : '';
        if ($n === 0) {
            $this->ok('spool: empty' . (isset($state['accepted_at']) ? ', the last delivery from it was ' . self::age($now - $state['accepted_at']) . ' ago' : ''));
        } elseif ($now - $oldest > 300) {
            $this->bad("spool: $n notifications ($ids ids) wait, the oldest for " . self::age($now - $oldest) . $last, 'see what this check says of the cron job and of Notify');
        } else {
            $this->ok("spool: $n notifications ($ids ids) wait, the oldest for " . self::age($now - $oldest) . $last);
        }
        if ($bytes > 0.8 * $config->maxBytes) {
            $this->bad(sprintf('spool: %d of at most %d bytes are taken', $bytes, $config->maxBytes), 'what does not fit is dropped: get the delivery working, or raise spool_max_bytes');
        }
        $alive = isset($state['delivering_at']) ? $now - $state['delivering_at'] : null;
        if ($alive === null || $alive > 180) {
            $this->bad('cron: deliver.php ' . ($alive === null ? 'has never run' : 'last ran ' . self::age($alive) . ' ago'), 'put this line into /etc/cron.d/erp-calendar, and wait a minute: * * * * * www-data php ' . __DIR__ . '/deliver.php --for=58');
        } else {
            $this->ok('cron: deliver.php was alive ' . self::age($alive) . ' ago');
        }
        $this->lost($state, $now, $spool->file('corrupt'));
    }

    private function lost(array $state, $now, $corrupt)
    {
        $words = [
            'full' => 'ids dropped because the spool was at its bound',
            'unwritten' => 'ids dropped because the spool could not be written',
            'refused' => 'ids dropped because Notify refused them for good',
            'expired' => 'ids dropped because they had waited too long',
            'corrupt' => "lines of the spool that were damaged (kept in $corrupt)",
        ];
        $all = [];
        foreach ($words as $why => $text) {
            if (!empty($state['lost'][$why])) {
                $all[] = (int) $state['lost'][$why] . ' ' . $text;
            }
        }
        if ($all === []) {
            $this->ok('nothing was ever dropped');
            return;
        }
        $since = isset($state['lost_at']) ? $now - $state['lost_at'] : 0;
        $text = 'dropped so far: ' . implode('; ', $all) . '; the last ' . self::age($since) . ' ago';
        if ($since > 7 * 86400) {
            $this->ok($text);
        } else {
            $this->warn($text, 'nothing is lost for the calendars: the poll and the nightly run find what changed; but look why');
        }
    }

    private function name(Config $config)
    {
        $host = trim((string) parse_url($config->url, PHP_URL_HOST), '[]');
        if (filter_var($host, FILTER_VALIDATE_IP) !== false) {
            return true;
        }
        $found = quietly(static function () use ($host) {
            return gethostbynamel($host) ?: (dns_get_record($host, DNS_AAAA) ?: null);
        });
        if ($found === null) {
            $this->bad("DNS: the name $host is not found", 'look at url in the configuration, and at /etc/resolv.conf of this machine');
            return false;
        }
        $this->ok("DNS: $host is found");
        return true;
    }

    private function notify(Config $config)
    {
        $before = time();
        $answer = quietly(static function () use ($config) {
            return (new Client($config))->card(1, 15);
        });
        $after = time();
        $answer = is_array($answer) ? $answer : ['status' => 0, 'error' => 'connection', 'type' => '', 'body' => '', 'date' => ''];
        $status = $answer['status'];
        if ($status === 0) {
            $this->bad('Notify: ' . self::failure($answer['error']), self::cure($answer['error']));
            return;
        }
        $this->ok('Notify: ' . $config->url . ' is reached' . (stripos($config->url, 'https') === 0 ? ', its certificate is right' : ' (without TLS)'));
        $skew = $this->clock($answer['date'], $before, $after);
        $problem = Client::problem($answer);
        if (($status === 200 || ($status === 404 && $problem !== null)) && $this->rejectsOthers($config)) {
            $this->ok('Notify: the signature is accepted');
        } elseif ($status === 503 && $problem !== null) {
            $this->warn('Notify: the signature is accepted, but its store could not be read', 'look at the log of Notify');
        } elseif ($status === 401 && $problem !== null) {
            $this->bad('Notify: the signature is refused' . ($problem !== '' ? " ($problem)" : ''), abs($skew) > 240 ? 'set this machine\'s clock right (timedatectl set-ntp true)' : 'the secret must be one of NOTIFY_SECRETS; copy it again');
        } else {
            $this->bad("Notify: something else answers there, with status $status", 'look at url in the configuration: it is the address of the function Notify, without anything behind it; the function must be open to unauthenticated calls');
        }
    }

    /** Whether a wrong signature is rejected there: only then does the answer to ours prove it right. */
    private function rejectsOthers(Config $config)
    {
        $answer = quietly(static function () use ($config) {
            return (new Client($config))->card(1, 15, true);
        });
        return is_array($answer) && $answer['status'] === 401 && Client::problem($answer) !== null;
    }

    private function clock($date, $before, $after)
    {
        $there = strtotime($date);
        if ($date === '' || $there === false) {
            return 0;
        }
        // The answer was made at some time between.
        $skew = $there < $before ? $before - $there : ($there > $after ? $after - $there : 0);
        $by = abs($skew) . ' s ' . ($skew > 0 ? 'ahead of' : 'behind') . ' that of Notify';
        if (abs($skew) > 240) {
            $this->bad("clock: this machine's clock is $by; from 300 s on nothing is accepted", 'set it right: timedatectl set-ntp true');
        } elseif (abs($skew) > 30) {
            $this->warn("clock: this machine's clock is $by", 'let it be set by NTP: timedatectl set-ntp true');
        } else {
            $this->ok('clock: right within ' . max(1, abs($skew)) . ' s');
        }
        return $skew;
    }

    private static function failure($words)
    {
        $known = [
            'dns' => 'its name is not found',
            'connection' => 'no connection',
            'timeout' => 'no answer in time',
            'tls' => 'no safe connection: its certificate does not fit or is not trusted',
            '401' => 'the signature was refused (401)',
        ];
        return isset($known[$words]) ? $known[$words] : "status $words";
    }

    private static function cure($words)
    {
        $known = [
            'dns' => 'look at url in the configuration, and at /etc/resolv.conf',
            'timeout' => 'let the firewall pass outgoing https to it',
            'tls' => 'install ca-certificates; set this machine\'s clock right; with an authority of your own: ca_file',
        ];
        return isset($known[$words]) ? $known[$words] : 'look at url in the configuration, and let the firewall pass outgoing https to it';
    }

    private static function age($seconds)
    {
        $seconds = max(0, (int) $seconds);
        if ($seconds < 120) {
            return "$seconds s";
        }
        return $seconds < 7200 ? (int) ($seconds / 60) . ' min' : ($seconds < 172800 ? (int) ($seconds / 3600) . ' h' : (int) ($seconds / 86400) . ' days');
    }
}

exit(in_array('--handlers', $argv, true) ? (new Check())->handlers() : (new Check())->run());
