<?php
/**
 * The ERP's part of a request, for tests and for the local run's -php: it takes
 * {"event": name, "ids": [...]} by POST (JSON), fires the event's handlers for each id as
 * UserSide would inside the dispatcher's request, and shows a page. An event whose name is
 * in lower case goes the legacy way, through api_function. A handler that does not return
 * true forbids what the dispatcher did: then the page says so, with status 409.
 *
 *     ERP_CALENDAR_CONFIG=/path/config.php php -S 127.0.0.1:8099 scripts/userside/testdata/erp.php
 *     curl -d '{"event":"TASK_CREATED","ids":[7]}' http://127.0.0.1:8099/
 *
 * Variables: ERP_CONNECTOR=off leaves the connector out; ERP_FINISH=on gives PHP's built-in
 * server a stand-in of fastcgi_finish_request; ERP_STRICT=on makes the ERP's own error
 * handler stop the page at the slightest notice; ERP_SESSION=on opens a session;
 * ERP_API_FUNCTION names a file with the customer's api_function; ERP_ROOT names the ERP's
 * folder, with evolution/CustomEvents/v2/handlers.php, and ERP_SCAN=on scans that file for
 * literal lines instead of running it, into var/cache/CustomEvents/handlers.v2.cache.php,
 * which is never made anew while it is there. It must never be put on a real server.
 */

/**
 * The constants that the tests use. TASK_CREATED and the two of customers are UserSide's own
 * by its public wiki; the others are named in the ways that it names those.
 */
final class CustomEvent
{
    const TASK_CREATED = 'task_created';
    const TASK_CHANGED = 'task_changed';
    const TASK_DELETED = 'task_deleted';
    const TASK_COMMENT_DELETED = 'task_comment_deleted';
    const TASK_STATE_CHANGE = 'task_state_change';
    const TASK_CHANGE_BEFORE = 'task_change_before';
    const TASK_FORM_VALIDATE = 'task_form_validate';
    const TASK_LIST_FILTER = 'task_list_filter';
    const CUSTOMER_STATUS_CHANGE_BEFORE = 'customer_status_change_before';
    const COMMENT_ADD = 'comment_add';
    const EMPLOYEE_CHANGED = 'employee_changed';
    const EMPLOYEE_DELETED = 'employee_deleted';
    const CUSTOMER_CARD_PRIMARY_CONTENT_RENDER = 'customer_card_primary_content_render';
    const OWN_THING = 'own_thing';
}

/** An event as handlers get it; values are untyped, as in a request: text. */
final class ErpEvent
{
    private $values;

    public function __construct(array $values)
    {
        $this->values = $values;
    }

    public function get($name)
    {
        if (!array_key_exists($name, $this->values)) {
            throw new OutOfBoundsException("no $name in this event");
        }
        return $this->values[$name];
    }

    public function all()
    {
        return $this->values;
    }
}

/** What the ERP does when a handler does not let it. */
final class Forbidden extends RuntimeException
{
}

final class Erp
{
    public static $handlers = [];

    /** The literal lines of a handlers file, as PHP that registers them; only these are ever run. */
    public static function scan($root)
    {
        $cache = "$root/var/cache/CustomEvents/handlers.v2.cache.php";
        if (!is_file($cache)) {
            preg_match_all('/^internal_event\(CustomEvent::[A-Z_]+, .*\);$/m', file_get_contents("$root/evolution/CustomEvents/v2/handlers.php"), $lines);
            if (!is_dir(dirname($cache))) {
                mkdir(dirname($cache), 0700, true);
            }
            file_put_contents($cache, "<?php\n" . implode("\n", $lines[0]) . "\n");
        }
        include $cache;
    }

    public static function fire($name, array $ids)
    {
        foreach ($ids as $i => $id) {
            $ids[$i] = is_int($id) ? (string) $id : $id;
        }
        if ($name === strtolower($name)) {
            foreach ($ids as $id) {
                if (api_function($name, ['taskId' => $id, 'customerId' => '1', 'stateId' => '2', 'stateCurrendId' => '3', 'employee_id' => '4'], null, null, null, null) !== true) {
                    throw new Forbidden("api_function forbids $name");
                }
            }
            return;
        }
        $event = constant('CustomEvent::' . $name);
        $field = strpos($name, 'EMPLOYEE_') === 0 ? 'employee_id' : ($name === 'OWN_THING' ? 'thing' : 'task_id');
        foreach ($ids as $id) {
            foreach (isset(self::$handlers[$event]) ? self::$handlers[$event] : [] as $handler) {
                if ($handler(new ErpEvent([$field => $id])) !== true) {
                    throw new Forbidden("a handler forbids $name");
                }
            }
        }
    }
}

function internal_event($event, $handler)
{
    Erp::$handlers[$event][] = $handler;
}

if (is_string(getenv('ERP_API_FUNCTION'))) {
    include getenv('ERP_API_FUNCTION');
} else {
    function api_function($name, $arg1, $arg2, $arg3, $arg4, $arg5)
    {
        if (getenv('ERP_CONNECTOR') !== 'off') {
            include_once __DIR__ . '/../legacy.php';
            return erp_calendar_api_function($name, $arg1, $arg2, $arg3, $arg4, $arg5);
        }
        return true;
    }
}

if (getenv('ERP_FINISH') === 'on' && !function_exists('fastcgi_finish_request')) {
    /** What PHP-FPM does: the browser has all of the page, and PHP goes on. */
    function fastcgi_finish_request()
    {
        $page = '';
        while (ob_get_level() > 0) {
            $page = ob_get_clean() . $page;
        }
        header('Content-Length: ' . strlen($page));
        echo $page;
        flush();
        return true;
    }
}

if (getenv('ERP_STRICT') === 'on') {
    $strict = static function ($level, $text) {
        echo "STOPPED BY A NOTICE: $text";
        exit(1);
    };
    set_error_handler($strict);
    set_exception_handler(static function ($e) {
        echo 'STOPPED BY AN EXCEPTION';
    });
}

if (is_string(getenv('ERP_ROOT')) && getenv('ERP_SCAN') === 'on') {
    Erp::scan(getenv('ERP_ROOT'));
} elseif (is_string(getenv('ERP_ROOT'))) {
    include getenv('ERP_ROOT') . '/evolution/CustomEvents/v2/handlers.php';
} elseif (getenv('ERP_CONNECTOR') !== 'off') {
    // As evolution/CustomEvents/v2/handlers.php would have it.
    if (@is_readable(__DIR__ . '/../events-v2.php')) {
        include_once __DIR__ . '/../events-v2.php';
        erp_calendar_events(CustomEvent::class);
    }
}

if (getenv('ERP_SESSION') === 'on') {
    session_start();
}
ob_start();
$asked = json_decode((string) file_get_contents('php://input'), true);
if (is_array($asked) && isset($asked['event'], $asked['ids'])) {
    try {
        Erp::fire((string) $asked['event'], (array) $asked['ids']);
    } catch (Forbidden $e) {
        http_response_code(409);
        echo 'FORBIDDEN: ' . $e->getMessage() . "\n";
    }
    // Registered after the connector's, and printed all the same.
    register_shutdown_function(static function () {
        echo "<footer>the ERP's last words</footer></html>\n";
    });
}
echo "<!doctype html><html><title>The ERP's page</title>\n";
for ($row = 1; $row <= 200; $row++) {
    echo "<tr><td>$row</td><td>a task of the dispatcher's board</td></tr>\n";
}
if (getenv('ERP_STRICT') === 'on') {
    // The ERP's own handler must be in force again, and no error left behind.
    $mine = set_error_handler(null);
    echo $mine !== $strict ? 'HANDLER LOST' : '', error_get_last() === null ? '' : 'ERROR LEFT';
    set_error_handler($mine);
}
