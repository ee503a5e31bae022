<?php
/**
 * Sends signed requests to Notify: with the curl extension where there is one, with PHP's
 * own sockets otherwise. Every request has one deadline for all its parts (connecting, TLS,
 * answer); only without curl's asynchronous resolver can DNS itself outlast it. It follows
 * no redirect, and reads no more of an answer than it needs.
 */

namespace ErpCalendar;

final class Client
{
    /** What may come of a notification. */
    const ACCEPTED = 'accepted';
    const REFUSED = 'refused'; // can never succeed: drop it
    const LATER = 'later';     // may succeed: keep it, and all that follow
    const SKIP = 'skip';       // this one not now, others may

    const MOST = 65536;

    private $config;

    public function __construct(Config $config)
    {
        $this->config = $config;
    }

    /**
     * Sends one notification, signed now. Returns [outcome, words].
     *
     * 202 alone is success: a 200 may be any page that a proxy shows. 400, 413 and 415 from
     * Notify itself (told by its application/problem+json) cannot be mended by waiting. All
     * else can: a clock or a secret (401), a wrong address (404, 405, 3xx), a permission
     * (403), a limit (429), an outage (5xx, network).
     */
    public function send(Notification $n, $seconds)
    {
        $body = $n->body();
        $headers = $this->config->sign($n->id, time(), $body);
        $headers[] = 'Content-Type: application/json';
        $answer = $this->request('POST', '/', $headers, $body, $seconds);
        $status = $answer['status'];
        if ($status === 202) {
            return [self::ACCEPTED, '202'];
        }
        if ($status === 0) {
            return [self::LATER, $answer['error']];
        }
        if (in_array($status, [400, 413, 415], true)) {
            // Not from Notify: something between us refuses this body; it may let others pass.
            return [self::problem($answer) === null ? self::SKIP : self::REFUSED, (string) $status];
        }
        return [self::LATER, (string) $status];
    }

    /**
     * Asks for a card, which changes nothing. With $wrong the signature is made to be
     * refused: where both are answered alike, it is not Notify that answers.
     */
    public function card($employee, $seconds, $wrong = false)
    {
        $path = '/employees/' . $employee;
        $id = 'msg_' . bin2hex(random_bytes(16));
        $headers = $this->config->sign($id, time(), ($wrong ? 'not ' : '') . 'GET ' . $path);
        return $this->request('GET', $path, $headers, '', $seconds);
    }

    /** The detail of a problem+json answer, null of any other. */
    public static function problem(array $answer)
    {
        if (stripos($answer['type'], 'application/problem+json') !== 0) {
            return null;
        }
        return preg_match('/"detail"\s*:\s*"([^"\\\\]{0,200})"/', $answer['body'], $m) ? $m[1] : '';
    }

    /** @return array status (0: no answer), type, date, body, error */
    private function request($method, $path, array $headers, $body, $seconds)
    {
        $none = ['status' => 0, 'type' => '', 'date' => '', 'body' => '', 'error' => ''];
        if ($seconds <= 0) {
            return ['error' => 'timeout'] + $none;
        }
        if (function_exists('curl_init')) {
            return $this->byCurl($method, $path, $headers, $body, $seconds) + $none;
        }
        return $this->bySocket($method, $path, $headers, $body, $seconds) + $none;
    }

    private function byCurl($method, $path, array $headers, $body, $seconds)
    {
        $curl = curl_init($this->config->url . $path);
        $head = $text = '';
        $headers[] = 'Expect:'; // else curl waits a second for "100 Continue" on large bodies
        $options = [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_USERAGENT => 'erp-calendar-connector/' . VERSION,
            CURLOPT_TIMEOUT_MS => max(1, (int) ($seconds * 1000)),
            CURLOPT_CONNECTTIMEOUT_MS => max(1, (int) ($seconds * 1000)),
            CURLOPT_NOSIGNAL => true, // timeouts under one second need it
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTPS | CURLPROTO_HTTP,
            CURLOPT_PROXY => '',
            CURLOPT_HEADERFUNCTION => static function ($curl, $line) use (&$head) {
                $head .= strlen($head) < self::MOST ? $line : '';
                return strlen($line);
            },
            CURLOPT_WRITEFUNCTION => static function ($curl, $data) use (&$text) {
                $text .= $data;
                return strlen($text) > self::MOST ? 0 : strlen($data);
            },
        ];
        if ($body !== '') {
            $options[CURLOPT_POSTFIELDS] = $body;
        }
        if ($this->config->caFile !== '') {
            $options[CURLOPT_CAINFO] = $this->config->caFile;
        }
        if (!curl_setopt_array($curl, $options)) {
            return ['error' => 'connection'];
        }
        curl_exec($curl);
        $status = (int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        $errno = curl_errno($curl);
        unset($curl);
        if ($status !== 0 && ($errno === 0 || strlen($text) > self::MOST)) {
            return self::parsed($head . "\r\n", $text);
        }
        // Numbers, because not every build of curl has every constant.
        $names = [6 => 'dns', 7 => 'connection', 28 => 'timeout', 35 => 'tls', 51 => 'tls', 53 => 'tls', 54 => 'tls', 58 => 'tls', 59 => 'tls', 60 => 'tls', 77 => 'tls', 83 => 'tls'];
        return ['error' => isset($names[$errno]) ? $names[$errno] : 'connection'];
    }

    private function bySocket($method, $path, array $headers, $body, $seconds)
    {
        $deadline = microtime(true) + $seconds;
        $parts = parse_url($this->config->url);
        $tls = strtolower($parts['scheme']) === 'https';
        $host = $parts['host'];
        $port = isset($parts['port']) ? $parts['port'] : ($tls ? 443 : 80);
        $name = trim($host, '[]');
        $ssl = ['peer_name' => $name, 'verify_peer' => true, 'verify_peer_name' => true, 'allow_self_signed' => false];
        if ($this->config->caFile !== '') {
            $ssl['cafile'] = $this->config->caFile;
        }
        $socket = stream_socket_client("tcp://$host:$port", $code, $why, max(0.001, $deadline - microtime(true)), STREAM_CLIENT_CONNECT, stream_context_create(['ssl' => $ssl]));
        if ($socket === false) {
            // 0 says that it never came to a connect(): the name was not resolved.
            if ((int) $code === 0) {
                return ['error' => 'dns'];
            }
            return ['error' => microtime(true) >= $deadline ? 'timeout' : 'connection'];
        }
        stream_set_blocking($socket, false);
        try {
            if ($tls) {
                $kinds = STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT | (defined('STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT') ? constant('STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT') : 0);
                while (($done = stream_socket_enable_crypto($socket, true, $kinds)) === 0) {
                    if (!self::wait($socket, false, $deadline)) {
                        return ['error' => 'timeout'];
                    }
                }
                if ($done !== true) {
                    return ['error' => 'tls'];
                }
            }
            $show = isset($parts['port']) ? "$host:$port" : $host;
            $target = (isset($parts['path']) ? $parts['path'] : '') . $path;
            $length = $method === 'POST' ? 'Content-Length: ' . strlen($body) . "\r\n" : '';
            $request = "$method $target HTTP/1.1\r\nHost: $show\r\nUser-Agent: erp-calendar-connector/" . VERSION . "\r\nAccept: application/json\r\n"
                . implode("\r\n", $headers) . "\r\n{$length}Connection: close\r\n\r\n$body";
            return self::converse($socket, $request, $deadline);
        } finally {
            fclose($socket);
        }
    }

    private static function converse($socket, $request, $deadline)
    {
        while ($request !== '') {
            $n = fwrite($socket, $request);
            if ($n === false || feof($socket)) {
                // An answer may have come before all was sent (413): read it.
                break;
            }
            $request = (string) substr($request, $n);
            if ($n === 0 && !self::wait($socket, true, $deadline)) {
                return ['error' => 'timeout'];
            }
        }
        $text = '';
        while (strlen($text) < self::MOST) {
            $some = fread($socket, 8192);
            if ($some === false || ($some === '' && feof($socket))) {
                break;
            }
            if ($some === '' && !self::wait($socket, false, $deadline)) {
                return ['error' => 'timeout'];
            }
            $text .= $some;
            if (self::complete($text) || microtime(true) >= $deadline) {
                break;
            }
        }
        $end = strpos($text, "\r\n\r\n");
        if ($end === false) {
            return ['error' => microtime(true) >= $deadline ? 'timeout' : 'connection'];
        }
        return self::parsed(substr($text, 0, $end + 4), substr($text, $end + 4));
    }

    private static function complete($text)
    {
        $end = strpos($text, "\r\n\r\n");
        return $end !== false && preg_match('/\r\nContent-Length:[ \t]*([0-9]{1,9})[ \t]*\r\n/i', substr($text, 0, $end + 2), $m)
            && strlen($text) - $end - 4 >= (int) $m[1];
    }

    private static function wait($socket, $write, $deadline)
    {
        $left = $deadline - microtime(true);
        if ($left <= 0) {
            return false;
        }
        $r = $write ? null : [$socket];
        $w = $write ? [$socket] : null;
        $e = null;
        return (int) stream_select($r, $w, $e, (int) $left, (int) (($left - (int) $left) * 1e6)) > 0;
    }

    private static function parsed($head, $body)
    {
        // Of several heads (100 Continue before the answer) the last counts.
        $heads = preg_split('/\r\n\r\n/', rtrim($head, "\r\n"));
        $last = (string) end($heads);
        if (!preg_match('#^HTTP/[0-9.]+ ([1-5][0-9]{2})#', $last, $m)) {
            return ['error' => 'connection'];
        }
        $answer = ['status' => (int) $m[1], 'body' => $body];
        foreach (['type' => 'Content-Type', 'date' => 'Date'] as $to => $name) {
            if (preg_match('/^' . $name . ':[ \t]*(.*?)[ \t]*\r?$/mi', $last, $m)) {
                $answer[$to] = $m[1];
            }
        }
        return $answer;
    }
}
