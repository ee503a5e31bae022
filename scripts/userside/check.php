<?php
/**
 * Checks the installation and says in plain words what is wrong and what to do:
 *
 *     sudo -u www-data php /opt/erp-calendar/check.php
 *
 * It changes nothing, here or there: the signature is proven by asking for the calendar
 * card of employee 1, which Notify answers (200, or 404 for "unknown") when it is right
 * and refuses (401) when it is not; both are tried. Exit code 0 when all is well, 1
 * otherwise. It never shows the secret.
 */

namespace ErpCalendar;

if (PHP_SAPI !== 'cli') {
    exit(1); // it tells too much for a web page
}
ini_set('display_errors', 'stderr');
require_once __DIR__ . '/lib/load.php';

final class Check
{
    private $bad = 0;

    private function ok($what)
    {
        echo "ok    $what\n";
    }

    private function warn($what, $cure)
    {
        echo "warn  $what\n      -> $cure\n";
    }

    private function bad($what, $cure)
    {
        $this->bad++;
        echo "BAD   $what\n      -> $cure\n";
    }

    public function run()
    {
        $this->php();
        $this->functions();
        $config = $this->config();
        if ($config !== null) {
            $transport = $this->transport($config);
            $spool = new Spool($config);
            if ($this->directory($config)) {
                $this->spool($spool, $config);
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

    /** The command line may have another php.ini than the web server; what is told here is worth telling anyway. */
    private function functions()
    {
        $needed = ['flock', 'fopen', 'fwrite', 'ftruncate', 'fstat', 'random_bytes', 'register_shutdown_function', 'set_error_handler', 'parse_url'];
        $gone = array_filter($needed, static function ($function) {
            return !function_exists($function);
        });
        if ($gone !== []) {
            $this->bad('PHP lacks ' . implode(', ', $gone), 'take them out of disable_functions in php.ini, of the web server too');
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
        $make = "install -d -m 0700 -o www-data $dir";
        if (!is_dir($dir)) {
            $this->bad("spool: the directory $dir is not there", $make);
            return false;
        }
        if (function_exists('posix_geteuid') && fileowner($dir) !== posix_geteuid()) {
            $owner = function_exists('posix_getpwuid') ? posix_getpwuid(fileowner($dir)) : false;
            $name = is_array($owner) ? $owner['name'] : '#' . fileowner($dir);
            $this->bad("spool: $dir belongs to $name, and this check runs as somebody else", "sudo -u $name php " . __FILE__ . '; if that is not the web server\'s user: chown it');
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
        $sound = true;
        foreach (['spool', 'state', 'deliver', 'pause', 'corrupt'] as $name) {
            $file = "$dir/$name";
            if (!file_exists($file)) {
                continue;
            }
            if (!is_file($file) || !is_readable($file) || !is_writable($file)) {
                $this->bad("spool: $file cannot be read and written by this user", "chown --reference=$dir $file && chmod 0600 $file");
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

    private function spool(Spool $spool, Config $config)
    {
        list($n, $ids, $oldest, $bytes) = $spool->length();
        $state = $spool->state();
        $now = time();
        $last = isset($state['failed_at']) ? '; the last failure was ' . self::age($now - $state['failed_at']) . ' ago: ' . self::failure((string) $state['failed']) : '';
        if ($n === 0) {
            $this->ok('spool: empty' . (isset($state['accepted_at']) ? ', the last delivery from it was ' . self::age($now - $state['accepted_at']) . ' ago' : ''));
        } elseif ($now - $oldest > 300) {
            $this->bad("spool: $n notifications ($ids ids) wait, the oldest for " . self::age($now - $oldest) . $last, 'see what is said of the cron job and of Notify here');
        } else {
            $this->ok("spool: $n notifications ($ids ids) wait, the oldest for " . self::age($now - $oldest) . $last);
        }
        if ($bytes > 0.8 * $config->maxBytes) {
            $this->bad(sprintf('spool: %d of at most %d bytes are taken', $bytes, $config->maxBytes), 'what does not fit is dropped: bring the delivery into order, or raise spool_max_bytes');
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
        if (($status === 200 || ($status === 404 && $problem !== null)) && $this->refusesOthers($config)) {
            $this->ok('Notify: the signature is accepted');
        } elseif ($status === 503 && $problem !== null) {
            $this->warn('Notify: the signature is accepted, but its store could not be read', 'look at the log of Notify');
        } elseif ($status === 401 && $problem !== null) {
            $this->bad('Notify: the signature is refused' . ($problem !== '' ? " ($problem)" : ''), abs($skew) > 240 ? 'set this machine\'s clock right (timedatectl set-ntp true)' : 'the secret must be one of NOTIFY_SECRETS; copy it again');
        } else {
            $this->bad("Notify: something else answers there, with status $status", 'look at url in the configuration: it is the address of the function Notify, without anything behind it; the function must be open to unauthenticated calls');
        }
    }

    /** Whether a wrong signature is refused there: then the answer to ours says that ours is right. */
    private function refusesOthers(Config $config)
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

exit((new Check())->run());
