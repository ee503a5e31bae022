<?php
/**
 * The connector's configuration: one PHP file outside the web root that returns an array
 * (config.example.php). Nothing here may disclose the secret or a part of it: PHP's own message
 * about a syntax error quotes the text around it, so that message is dropped.
 */

namespace ErpCalendar;

/** The connector's version; every request to Notify carries it. */
const VERSION = '1.1';

/** An error whose text may be shown: it never holds a value of the configuration. */
final class Fault extends \RuntimeException
{
}

/**
 * Runs $do so that nothing of it reaches the page: no error handler of the ERP sees its
 * warnings, and no exception gets out. Returns null when $do failed; $failed gets the exception.
 */
function quietly($do, $failed = null)
{
    set_error_handler(static function () {
        return true;
    });
    try {
        return $do();
    } catch (\Throwable $e) {
        if ($failed !== null) {
            try {
                $failed($e);
            } catch (\Throwable $again) {
                // Nothing more can be done.
            }
        }
        return null;
    } finally {
        restore_error_handler();
    }
}

/** Calls a function unless the server's disable_functions has removed it: the work goes on without it. */
function call($function, ...$arguments)
{
    return function_exists($function) ? $function(...$arguments) : null;
}

/** Writes one line into PHP's error log, at most one per request, however many ids are in it. */
function note($line)
{
    static $said = false;
    if (!$said) {
        $said = true;
        call('error_log', 'erp-calendar connector: ' . plain($line));
    }
}

/** A text without characters that move the cursor or turn the direction of a terminal's line. */
function plain($text)
{
    if (!preg_match('//u', $text)) {
        $text = preg_replace('/[\x80-\xff]/', '?', $text);
    }
    return (string) preg_replace('/[\x{0}-\x{1f}\x{7f}-\x{9f}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]/u', '?', $text);
}

/** What may be shown of an exception: an own message, or only where it came from. */
function words(\Throwable $e)
{
    if ($e instanceof Fault) {
        return $e->getMessage();
    }
    return get_class($e) . ' in ' . basename($e->getFile()) . ' line ' . $e->getLine();
}

final class Config
{
    /** Where the file is looked for when neither the constant nor the variable names one. */
    const USUAL = '/etc/erp-calendar/config.php';
    /** Notify rejects shorter keys (rule 10.6). */
    const MIN_KEY_BYTES = 24;

    /** @var string Notify's address without a slash at its end */
    public $url;
    /** @var string directory of the spool */
    public $spool;
    /** @var int most bytes of the spool */
    public $maxBytes;
    /** @var int most seconds that a notification is kept */
    public $maxAge;
    /** @var string file of certificate authorities, '' for PHP's own */
    public $caFile;
    /** @var array Custom Events: name => [type, field] or false */
    public $events;
    /** @var array legacy events: name => [type, field or position] or false */
    public $legacyEvents;
    /** @var string the signing key, raw */
    private $key;

    /** The configuration's path: constant, then environment, then the usual place. */
    public static function path()
    {
        if (defined('ERP_CALENDAR_CONFIG')) {
            return (string) constant('ERP_CALENDAR_CONFIG');
        }
        $path = getenv('ERP_CALENDAR_CONFIG');
        return is_string($path) && $path !== '' ? $path : self::USUAL;
    }

    /** The configuration of this request, read once; a fault is thrown each time. */
    public static function get()
    {
        static $read = [];
        $path = self::path();
        if (!isset($read[$path])) {
            $read[$path] = self::load($path);
        }
        return $read[$path];
    }

    /** Reads and checks the file; throws Fault. */
    public static function load($path)
    {
        if (!is_file($path)) {
            throw new Fault("the configuration $path is not there, or this user may not look into its folder");
        }
        if (!is_readable($path)) {
            throw new Fault("the configuration $path cannot be read by this user");
        }
        $level = ob_get_level();
        // A byte order mark before <?php would go into the dispatcher's page.
        ob_start();
        try {
            $values = (static function ($file) {
                return include $file;
            })($path);
        } catch (\Throwable $e) {
            throw new Fault("the configuration $path is not sound PHP (line " . $e->getLine() . ')');
        } finally {
            while (ob_get_level() > $level) {
                ob_end_clean();
            }
        }
        if (!is_array($values)) {
            throw new Fault("the configuration $path does not return an array");
        }
        return new self($values);
    }

    private function __construct(array $values)
    {
        $known = ['url', 'secret', 'spool', 'spool_max_bytes', 'spool_max_hours', 'ca_file', 'allow_http', 'events', 'legacy_events'];
        foreach (array_keys($values) as $name) {
            if (!in_array($name, $known, true)) {
                // Not quoted: it may be a secret written in the wrong place.
                throw new Fault('the configuration holds a name that is none of ' . implode(', ', $known));
            }
        }
        $this->url = self::address(self::text($values, 'url'), !empty($values['allow_http']));
        $this->key = self::key(self::text($values, 'secret'));
        $this->spool = rtrim(self::text($values, 'spool'), '/');
        if ($this->spool === '' || $this->spool[0] !== '/') {
            throw new Fault('spool is not an absolute path of a directory');
        }
        $this->maxBytes = self::number($values, 'spool_max_bytes', 4 << 20, 4096, 64 << 20);
        $this->maxAge = 3600 * self::number($values, 'spool_max_hours', 72, 1, 24 * 365);
        $this->caFile = isset($values['ca_file']) ? self::text($values, 'ca_file') : '';
        $this->events = self::names($values, 'events');
        $this->legacyEvents = self::names($values, 'legacy_events');
    }

    private static function text(array $values, $name)
    {
        if (!isset($values[$name]) || !is_string($values[$name]) || trim($values[$name]) === '') {
            throw new Fault("$name is missing or no text");
        }
        return trim($values[$name]);
    }

    private static function number(array $values, $name, $default, $least, $most)
    {
        if (!isset($values[$name])) {
            return $default;
        }
        if (!is_int($values[$name]) || $values[$name] < $least || $values[$name] > $most) {
            throw new Fault("$name is not a whole number from $least to $most");
        }
        return $values[$name];
    }

    private static function address($url, $allowHTTP)
    {
        $parts = parse_url($url);
        if (!is_array($parts) || empty($parts['scheme']) || empty($parts['host']) || isset($parts['user'])
            || isset($parts['query']) || isset($parts['fragment']) || preg_match('/[\x00-\x20\x7f-\xff]/', $url)) {
            throw new Fault('url is not the address of Notify, such as https://notify-abc123-ew.a.run.app');
        }
        $scheme = strtolower($parts['scheme']);
        if ($scheme !== 'https' && !($scheme === 'http' && $allowHTTP)) {
            throw new Fault("url does not begin with https:// (for a test on this machine: 'allow_http' => true)");
        }
        return rtrim($url, '/');
    }

    private static function key($secret)
    {
        if (strncmp($secret, 'whsec_', 6) !== 0) {
            throw new Fault('secret does not begin with whsec_');
        }
        $key = base64_decode(substr($secret, 6), true);
        if ($key === false) {
            throw new Fault('secret: what follows whsec_ is not base64');
        }
        if (strlen($key) < self::MIN_KEY_BYTES) {
            throw new Fault('secret holds fewer than ' . self::MIN_KEY_BYTES . ' bytes');
        }
        return $key;
    }

    private static function names(array $values, $name)
    {
        $list = isset($values[$name]) ? $values[$name] : [];
        if (!is_array($list)) {
            throw new Fault("$name is not an array");
        }
        foreach ($list as $event => $to) {
            $sound = is_string($event) && ($to === false || (is_array($to) && isset($to[0], $to[1])
                && in_array($to[0], Notification::TYPES, true) && (is_string($to[1]) || is_int($to[1]))));
            if (!$sound) {
                throw new Fault("$name: an entry is not 'EVENT' => ['task.changed', 'task_id'] nor 'EVENT' => false");
            }
        }
        return $list;
    }

    /** The Standard Webhooks headers of one request. */
    public function sign($id, $at, $payload)
    {
        $signature = base64_encode(hash_hmac('sha256', "$id.$at.$payload", $this->key, true));
        return ["webhook-id: $id", "webhook-timestamp: $at", "webhook-signature: v1,$signature"];
    }

    /** Keeps the key out of dumps. */
    public function __debugInfo()
    {
        return ['url' => $this->url, 'spool' => $this->spool, 'key' => '[redacted]'];
    }
}

/** One notification as it is sent and kept: ids of one type under one webhook-id. */
final class Notification
{
    const TYPES = ['task.changed', 'task.deleted', 'employee.changed', 'employee.deleted'];
    /** Notify takes no more ids at once (functions/README.md). */
    const MAX_IDS = 1000;

    public $id;
    public $type;
    public $at;
    public $ids;

    private function __construct($id, $type, $at, array $ids)
    {
        $this->id = $id;
        $this->type = $type;
        $this->at = $at;
        $this->ids = $ids;
    }

    /** As many as the ids need. */
    public static function of($type, array $ids, $at)
    {
        $all = [];
        foreach (array_chunk($ids, self::MAX_IDS) as $some) {
            $all[] = new self('msg_' . bin2hex(random_bytes(16)), $type, $at, $some);
        }
        return $all;
    }

    public function body()
    {
        return json_encode(['type' => $this->type, 'timestamp' => gmdate('Y-m-d\TH:i:s\Z', $this->at), 'data' => ['ids' => $this->ids]]);
    }

    /** The spool's form: ids and times, no secret, no signature, nothing of a person. */
    public function line()
    {
        return json_encode(['id' => $this->id, 'type' => $this->type, 'at' => $this->at, 'ids' => $this->ids]) . "\n";
    }

    /** Reads a line of the spool; null when it is none of ours. */
    public static function parse($line)
    {
        $v = json_decode($line, true, 4);
        if (!is_array($v) || !isset($v['id'], $v['type'], $v['at'], $v['ids'])
            || !is_string($v['id']) || !preg_match('/^msg_[0-9a-f]{32}$/D', $v['id'])
            || !in_array($v['type'], self::TYPES, true) || !is_int($v['at']) || $v['at'] <= 0
            || !is_array($v['ids']) || $v['ids'] === [] || count($v['ids']) > self::MAX_IDS
            || array_keys($v['ids']) !== range(0, count($v['ids']) - 1)) {
            return null;
        }
        foreach ($v['ids'] as $id) {
            if (!is_int($id) || $id <= 0) {
                return null;
            }
        }
        return new self($v['id'], $v['type'], $v['at'], $v['ids']);
    }

    /** Positive ids out of whatever an event gave: a number, digits, a list of them, "1,2,3". */
    public static function ids($value)
    {
        if (is_int($value)) {
            return $value > 0 ? [$value] : [];
        }
        if (is_float($value)) {
            return $value > 0 && $value < 9007199254740992 && floor($value) === $value ? [(int) $value] : [];
        }
        if (is_string($value)) {
            $ids = [];
            foreach (explode(',', $value) as $one) {
                $one = trim($one);
                // Beyond PHP_INT_MAX the cast gives another number: no id then.
                if (preg_match('/^[1-9][0-9]{0,18}$/D', $one) && (string) (int) $one === $one) {
                    $ids[] = (int) $one;
                }
            }
            return $ids;
        }
        $ids = [];
        if (is_array($value)) {
            foreach ($value as $one) {
                if (!is_array($one)) {
                    $ids = array_merge($ids, self::ids($one));
                }
            }
        }
        return $ids;
    }
}
