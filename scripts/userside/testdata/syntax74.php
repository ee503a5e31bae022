<?php
/**
 * Says what in the files given is newer than PHP 7.4: "file:line: what". It looks at PHP's
 * own tokens, so that it needs no PHP 7.4. Exit code 1 when there is something.
 */

final class Syntax74
{
    /** Functions and classes that came with PHP 8, in lower case. */
    const NEW_NAMES = [
        'str_contains', 'str_starts_with', 'str_ends_with', 'get_debug_type', 'get_resource_id', 'fdiv',
        'preg_last_error_msg', 'array_is_list', 'fsync', 'fdatasync', 'enum_exists', 'mb_str_pad', 'json_validate',
        'array_find', 'array_any', 'array_all', 'str_increment', 'mb_trim', 'memory_reset_peak_usage', 'ini_parse_quantity',
        'weakmap', 'stringable', 'valueerror', 'unhandledmatcherror', 'phptoken', 'fiber', 'array_find_key',
    ];
    const NEW_TYPES = ['mixed', 'never', 'null', 'false', 'true'];
    const NEW_TOKENS = [
        'T_MATCH' => 'match', 'T_ENUM' => 'enum', 'T_READONLY' => 'readonly',
        'T_NULLSAFE_OBJECT_OPERATOR' => 'the nullsafe operator', 'T_ATTRIBUTE' => 'an attribute',
    ];

    private $tokens = [];
    private $found = [];

    public static function look($code)
    {
        $s = new self();
        $line = 1;
        foreach (token_get_all($code) as $t) {
            $kind = is_array($t) ? token_name($t[0]) : $t;
            $text = is_array($t) ? $t[1] : $t;
            $line = is_array($t) ? $t[2] : $line;
            if (!in_array($kind, ['T_WHITESPACE', 'T_COMMENT', 'T_DOC_COMMENT'], true)) {
                $s->tokens[] = [$kind, $text, $line];
            }
        }
        for ($i = 0; $i < count($s->tokens); $i++) {
            $s->token($i);
        }
        return $s->found;
    }

    private function kind($i)
    {
        return isset($this->tokens[$i]) ? $this->tokens[$i][0] : '';
    }

    private function found($i, $what)
    {
        $this->found[] = $this->tokens[$i][2] . ": $what";
    }

    private function token($i)
    {
        list($kind, $text) = $this->tokens[$i];
        $before = $this->kind($i - 1);
        $after = $this->kind($i + 1);
        $word = preg_match('/^[a-zA-Z_]\w*$/', $text) === 1;
        if (isset(self::NEW_TOKENS[$kind])) {
            $this->found($i, self::NEW_TOKENS[$kind]);
        }
        if ($word && $after === ':' && ($before === '(' || $before === ',')) {
            $this->found($i, 'a named argument');
        }
        if ($kind === 'T_ELLIPSIS' && $before === '(' && $after === ')') {
            $this->found($i, 'a first-class callable');
        }
        if ($kind === 'T_CLASS' && $before === 'T_DOUBLE_COLON' && in_array($this->kind($i - 2), ['T_VARIABLE', ')', ']'], true)) {
            $this->found($i, '::class of an object');
        }
        if ($kind === 'T_THROW' && in_array($before, ['T_DOUBLE_ARROW', 'T_COALESCE', '?', '=', '(', ',', 'T_RETURN', 'T_BOOLEAN_OR', 'T_BOOLEAN_AND', 'T_LOGICAL_OR', 'T_LOGICAL_AND'], true)) {
            $this->found($i, 'throw as an expression');
        }
        if ($kind === 'T_LNUMBER' && preg_match('/^0o/i', $text)) {
            $this->found($i, 'an octal number with 0o');
        }
        if (in_array($kind, ['T_STRING', 'T_NAME_FULLY_QUALIFIED'], true) && !in_array($before, ['T_OBJECT_OPERATOR', 'T_DOUBLE_COLON', 'T_FUNCTION', 'T_CONST'], true)
            && in_array(ltrim(strtolower($text), '\\'), self::NEW_NAMES, true)) {
            $this->found($i, "$text()");
        }
        if ($kind === 'T_CATCH') {
            for ($j = $i; $this->kind($j) !== ')' && $this->kind($j) !== 'T_VARIABLE' && $this->kind($j) !== ''; $j++);
            if ($this->kind($j) === ')') {
                $this->found($i, 'catch without a variable');
            }
        }
        if ($kind === 'T_FINAL' && in_array($after, ['T_PUBLIC', 'T_PROTECTED', 'T_PRIVATE', 'T_CONST'], true)
            && ($after === 'T_CONST' || $this->kind($i + 2) === 'T_CONST')) {
            $this->found($i, 'a final constant');
        }
        if ($kind === 'T_CONST' && $this->kind($i + 2) !== '=' && $this->kind($i + 2) !== ';') {
            $this->found($i, 'a constant with a type');
        }
        if (in_array($kind, ['T_PUBLIC', 'T_PROTECTED', 'T_PRIVATE', 'T_VAR'], true)) {
            for ($j = $i + 1; in_array($this->kind($j), ['T_STATIC', 'T_STRING', 'T_ARRAY', 'T_CALLABLE', 'T_NAME_QUALIFIED', 'T_NAME_FULLY_QUALIFIED', '?', '|', 'T_AMPERSAND_NOT_FOLLOWED_BY_VAR_OR_VARARG'], true); $j++) {
                $this->type($j);
            }
        }
        if ($kind === 'T_FUNCTION' || $kind === 'T_FN') {
            $this->signature($i);
        }
    }

    /** One token of a type. */
    private function type($i)
    {
        list($kind, $text) = $this->tokens[$i];
        if ($kind === '|' || $kind === 'T_AMPERSAND_NOT_FOLLOWED_BY_VAR_OR_VARARG') {
            $this->found($i, 'a type of several');
        } elseif ($kind === 'T_STRING' && in_array(strtolower($text), self::NEW_TYPES, true)) {
            $this->found($i, "the type $text");
        }
    }

    private function signature($i)
    {
        while ($this->kind($i) !== '(' && $this->kind($i) !== ';' && $this->kind($i) !== '') {
            $i++;
        }
        $i = $this->parameters($i);
        if ($this->kind($i) === 'T_USE') {
            $i = $this->parameters($i + 1);
        }
        if ($this->kind($i) === ':') {
            for ($i++; !in_array($this->kind($i), ['{', ';', 'T_DOUBLE_ARROW', ''], true); $i++) {
                $this->type($i);
                if ($this->kind($i) === 'T_STATIC') {
                    $this->found($i, 'the return type static');
                }
            }
        }
    }

    /** From the opening parenthesis at $i; returns what follows the closing one. */
    private function parameters($i)
    {
        $depth = 0;
        $named = false; // the parameter's variable was passed: a default may follow
        for (; $this->kind($i) !== ''; $i++) {
            $kind = $this->kind($i);
            if ($kind === '(' || $kind === '[') {
                $depth++;
            } elseif ($kind === ')' || $kind === ']') {
                if (--$depth === 0) {
                    if ($this->kind($i - 1) === ',') {
                        $this->found($i, 'a comma behind the last parameter');
                    }
                    return $i + 1;
                }
            } elseif ($kind === ',' && $depth === 1) {
                $named = false;
            } elseif ($kind === 'T_VARIABLE') {
                $named = true;
            } elseif ($kind === 'T_NEW') {
                $this->found($i, 'new in a default');
            } elseif (in_array($kind, ['T_PUBLIC', 'T_PROTECTED', 'T_PRIVATE'], true)) {
                $this->found($i, 'a promoted parameter');
            } elseif (!$named) {
                $this->type($i);
            }
        }
        return $i;
    }
}

$code = 0;
foreach (array_slice($argv, 1) as $file) {
    foreach (Syntax74::look(file_get_contents($file)) as $what) {
        echo "$file:$what\n";
        $code = 1;
    }
}
exit($code);
