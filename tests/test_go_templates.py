"""Templates of labels and annotations: what becomes of them, and of those that are wrong, text for text as in Prometheus.

The tables were written by hand and are checked against promtool; what Debian's may be too old for has a table of its own.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest
import yaml
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.promql import parse
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.quoting import unquoted
from kailash_monitor.rules.templates import Facts, TemplateError, compile_template, float_text

RULE_FILES: Final = sorted((Path(__file__).parents[2] / "shared" / "rulefiles").glob("*.yml"))
needs_rules = pytest.mark.skipif(not RULE_FILES, reason="the rules of ../shared/rulefiles are not here")

LABELS: Final = {"instance": "db-1.example.com:9090", "job": "api", "path": "/x y?z=é&q=<b>\"'", "n": "42"}
EXTERNAL_LABELS: Final = {"cluster": "c1", "region": "eu"}
EXTERNAL_URL: Final = "https://prom.example.com/base/x?y=1"
VALUE: Final = 1234567.891
UP: Final = [
    ({"__name__": "up", "instance": "b", "zone": "x"}, 1.0),
    ({"__name__": "up", "instance": "a", "zone": "y"}, 2.5),
    ({"__name__": "up", "instance": "c", "zone": "x"}, 3e6),
]


def query(expression: str) -> Sequence[tuple[Mapping[str, str], float]]:
    answers = {"sort(up)": UP, 'up{instance="a"}': UP[1:2], "none": []}
    if expression not in answers:
        parse(expression)
        raise EvaluationError("found duplicate series")
    return answers[expression]


FACTS: Final = Facts(LABELS, VALUE, EXTERNAL_LABELS, EXTERNAL_URL, query, now=300.0)


EXPANDED: Final = [
    ("{{ $value }}", "1.234567891e+06"),
    (
        "{{ 1e6 }} {{ 1e20 }} {{ 1e21 }} {{ 123456789.0 }} {{ 0.0001 }} {{ 0.00001 }} {{ 100000.0 }} {{ 1.0 }} {{ -0.0 }} {{ 1e5 }} {{ 2097152.5 }}",
        "1e+06 1e+20 1e+21 1.23456789e+08 0.0001 1e-05 100000 1 -0 100000 2.0971525e+06",
    ),
    (
        '{{ printf "%g %G %e %E %f %F %.2f %.0f %5.1f|%-8.2f|%08.3f|%+.1f|% .1f" 1e6 1e-7 1.5 1.5 1.5 2.5 2.345 2.5 1.25 1.25 -1.25 1.25 1.25 }}',
        "1e+06 1E-07 1.500000e+00 1.500000E+00 1.500000 2.500000 2.35 2   1.2|1.25    |-001.250|+1.2| 1.2",
    ),
    ('{{ printf "%.3g %.10g %.0g %g %v" 123456.0 123456.0 123456.0 123456.0 0.1 }}', "1.23e+05 123456 1e+05 123456 0.1"),
    ('{{ printf "%x %X %b" 3.5 3.5 1.5 }}', "0x1.cp+01 0X1.CP+01 6755399441055744p-52"),
    (
        '{{ printf "%d" $value }} {{ printf "%s" $value }} {{ printf "%5d" 3.0 }} {{ printf "%t" 1 }} {{ printf "%d" "a" }}',
        "%!d(float64=1.234567891e+06) %!s(float64=1.234567891e+06) %!d(float64=    3) %!t(int=1) %!d(string=a)",
    ),
    (
        '{{ printf "%d %5d %-5d| %05d %+d %x %X %#x %o %O %b %c %q %U %#U" 42 42 42 42 42 255 255 255 8 8 5 65 65 65 65 }}',
        "42    42 42   | 00042 +42 ff FF 0xff 10 0o10 101 A 'A' U+0041 U+0041 'A'",
    ),
    (
        '{{ printf "% d %.5d %8.5d %-8.5d| %+05d %#o %#b" 42 42 42 42 42 8 5 }}',
        " 42 00042    00042 00042   | +0042 010 0b101",
    ),
    (
        '{{ printf "%s %10s|%-10s|%.2s %q %x %X % x %#x %#q %+q" "é" "é" "é" "éàü" "a\\"b" "hi" "hi" "hi" "hi" "a" "é" }}',
        'é          é|é         |éà "a\\"b" 6869 6869 68 69 0x6869 `a` "\\u00e9"',
    ),
    ('{{ printf "%v %+v %#v %T" $labels.job $labels.job $labels.job $labels.job }}', 'api api "api" string'),
    (
        '{{ printf "%v %+v %T" $labels $labels $labels }}',
        "map[instance:db-1.example.com:9090 job:api n:42 path:/x y?z=é&q=<b>\"'] map[instance:db-1.example.com:9090 job:api n:42 path:/x y?z=é&q=<b>\"'] map[string]string",
    ),
    (
        '{{ printf "%#v" $labels }}',
        'map[string]string{"instance":"db-1.example.com:9090", "job":"api", "n":"42", "path":"/x y?z=é&q=<b>\\"\'"}',
    ),
    (
        '{{ printf "%v %+v %#v %T" (query "up{instance=\\"a\\"}" | first) (query "up{instance=\\"a\\"}" | first) (query "up{instance=\\"a\\"}" | first) (query "none") }}',
        '&{map[__name__:up instance:a zone:y] 2.5} &{Labels:map[__name__:up instance:a zone:y] Value:2.5} &template.sample{Labels:map[string]string{"__name__":"up", "instance":"a", "zone":"y"}, Value:2.5} template.queryResult',
    ),
    ('{{ query "none" }} {{ printf "%v %d" (query "none") (query "none") }}', "[] [] []"),
    (
        '{{ printf "%d %s" $labels 3 }}',
        "map[%!d(string=instance):%!d(string=db-1.example.com:9090) %!d(string=job):%!d(string=api) %!d(string=n):%!d(string=42) %!d(string=path):%!d(string=/x y?z=é&q=<b>\"')] %!s(int=3)",
    ),
    ('{{ printf "%t %v %5t %-7t|" true false true false }}', "true false  true false  |"),
    (
        '{{ printf "%d" }} {{ printf "%d" 1 2 "x" nil }} {{ printf "%" }} {{ printf "%z" 3 }} {{ printf "%!" }} {{ printf "100%%" }} {{ printf "%d%" 3 }}',
        "%!d(MISSING) 1%!(EXTRA int=2, string=x, <nil>) %!(NOVERB) %!z(int=3) %!!(MISSING) 100% 3%!(NOVERB)",
    ),
    (
        '{{ printf "%[2]d %[1]d" 1 2 }} {{ printf "%[3]d" 1 }} {{ printf "%[x]d" 1 }} {{ printf "%[1]d %d %[1]v" 1 2 }} {{ printf "%*d|%-*d|%.*f" 5 1 5 2 2 3.14159 }} {{ printf "%*d" "a" 1 }} {{ printf "%.*d" "a" 1 }}',
        "2 1 %!d(BADINDEX) %!d(BADINDEX) 1 2 1     1|2    |3.14 %!(BADWIDTH)1 %!(BADPREC)1",
    ),
    ('{{ printf "%v %s %d" nil nil nil }} {{ printf "%T" nil }}', "<nil> %!s(<nil>) %!d(<nil>) <nil>"),
    ('{{ print 1 2 "a" 3 4 nil true 1.5 }} {{ println 1 "a" }}|', "1 2a3 4 <nil> true 1.5 1 a\n|"),
    ('{{ print "a" "b" }} {{ print $value $labels.job }} {{ print }}', "ab 1.234567891e+06api "),
    (
        "{{ 5 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 017 }} {{ 1_000 }} {{ 'a' }} {{ '\\n' }} {{ true }} {{ \"a\\tb\" }} {{ `raw\\n` }} {{ -5 }} {{ +5 }} {{ 0xe }} {{ 1e3 }} {{ .5 }} {{ 5. }}",
        "5 31 5 15 15 1000 97 10 true a\tb raw\\n -5 5 14 1000 0.5 5",
    ),
    (
        '{{ len "é" }} {{ len $labels }} {{ len (query "sort(up)") }} {{ index "abc" 1 }} {{ index $labels "job" }} {{ index $labels "nope" }}| {{ index (query "sort(up)") 1 | value }}',
        "2 4 3 98 api | 2.5",
    ),
    (
        '{{ slice "abcdef" 1 3 }} {{ slice "abcdef" 2 }} {{ slice "abcdef" }} {{ len (slice (query "sort(up)") 1) }}',
        "bc cdef abcdef 2",
    ),
    (
        '{{ eq 1 1 }} {{ eq 1 2 3 1 }} {{ eq "a" "a" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 1.5 1.0 }} {{ ge "b" "a" }} {{ eq true true }} {{ lt "a" "b" }} {{ not 0 }} {{ not "x" }} {{ and 1 0 2 }} {{ or 0 "" "x" 3 }}',
        "true true true true true true true true true true true false 0 x",
    ),
    ("{{ eq nil nil }} {{ ne nil nil }}", "true false"),
    ('{{ eq \'a\' 97 }} {{ eq (index "abc" 0) 97 }} {{ lt (index "abc" 0) 98 }}', "true true true"),
    (
        '{{ humanize 0.0 }} {{ humanize 1.0 }} {{ humanize 1234567.0 }} {{ humanize .12 }} {{ humanize 1e-30 }} {{ humanize 1e30 }} {{ humanize -1234.0 }} {{ humanize 999.99 }} {{ humanize 999999.0 }} {{ humanize "1000" }} {{ humanize 5 }} {{ humanize "Inf" }} {{ humanize "nan" }} {{ humanize "-inf" }} {{ humanize 1e-3 }} {{ humanize 1023.0 }}',
        "0 1 1.235M 120m 1e-06y 1e+06Y -1.234k 1000 1000k 1k 5 +Inf NaN -Inf 1m 1.023k",
    ),
    (
        '{{ humanize1024 0.0 }} {{ humanize1024 1.0 }} {{ humanize1024 1048576.0 }} {{ humanize1024 .12 }} {{ humanize1024 1e30 }} {{ humanize1024 -1234.0 }} {{ humanize1024 "0x1p20" }} {{ humanize1024 1023.99 }} {{ humanize1024 "+Inf" }}',
        "0 1 1Mi 0.12 8.272e+05Yi -1.205ki 1Mi 1024 +Inf",
    ),
    (
        '{{ humanizeDuration 0.0 }} {{ humanizeDuration 1.0 }} {{ humanizeDuration 60.0 }} {{ humanizeDuration 3600.0 }} {{ humanizeDuration 86400.0 }} {{ humanizeDuration 90061.9 }} {{ humanizeDuration -90061.0 }} {{ humanizeDuration .1 }} {{ humanizeDuration .0001 }} {{ humanizeDuration 12.34567 }} {{ humanizeDuration 899.99 }} {{ humanizeDuration "NaN" }} {{ humanizeDuration 1e19 }} {{ humanizeDuration 59.99999 }}',
        "0s 1s 1m 0s 1h 0m 0s 1d 0h 0m 0s 1d 1h 1m 1s -1d 1h 1m 1s 100ms 100us 12.35s 14m 59s NaN -106751991167300d -15h -30m -8s 60s",
    ),
    (
        '{{ humanizePercentage 0.1234567 }} {{ humanizePercentage 1.0 }} {{ humanizePercentage 1e-10 }} {{ humanizePercentage "Inf" }} {{ humanizePercentage -0.5 }}',
        "12.35% 100% 1e-08% +Inf% -50%",
    ),
    (
        '{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0.0 }} {{ humanizeTimestamp -62.0 }} {{ humanizeTimestamp "NaN" }} {{ humanizeTimestamp 1435065584.0009 }} {{ humanizeTimestamp -1.5 }}',
        "2015-06-23 13:19:44.128 +0000 UTC 1970-01-01 00:00:00 +0000 UTC 1969-12-31 23:58:58 +0000 UTC NaN 2015-06-23 13:19:44 +0000 UTC 1969-12-31 23:59:58.5 +0000 UTC",
    ),
    ("{{ $labels.n | humanize }} {{ $labels.n | humanizeDuration }}", "42 42s"),
    ('{{ title "aa bb CC é a-b a/b" }} {{ toUpper "aßé" }} {{ toLower "ÀBΣ" }}', "Aa Bb CC É A-B A/B AßÉ àbσ"),
    (
        '{{ match "a+" "baab" }} {{ match "^a" "ba" }} {{ match "[0-9]+$" $labels.instance }} {{ match "" "" }}',
        "true false true true",
    ),
    (
        '{{ reReplaceAll "(.*):.*" "$1" $labels.instance }} {{ reReplaceAll "a*" "x" "baac" }} {{ reReplaceAll "^a" "x" "aaa" }} {{ reReplaceAll "(?P<h>[a-z]+)-" "${h}_$h" "ab-cd-" }} {{ reReplaceAll "b" "$$" "abc" }} {{ reReplaceAll "\\\\b" "|" "ab cd" }} {{ reReplaceAll "." "é" "a\\nb" }} {{ reReplaceAll "(?m)^" "> " "a\\nb" }} {{ reReplaceAll "x*" "-" "é" }}',
        "db-1.example.com xbxcx xaa ab_abcd_cd a$c |ab| |cd| é\né > a\n> b -é-",
    ),
    (
        '{{ graphLink "up{a=\\"b\\"} > 1" }} {{ tableLink "rate(x[5m])+é~*" }} {{ urlquery "a b&c=d/é" }} {{ html "<a href=\'x\'>\\"&" }} {{ js "it\'s \\"<b>\\" =\\n\\\\é" }} {{ safeHtml "<b>" }} {{ html 1 2 }} {{ urlquery 1 "a" }}',
        '/graph?g0.expr=up%7Ba%3D%22b%22%7D+%3E+1&g0.tab=0 /graph?g0.expr=rate%28x%5B5m%5D%29%2B%C3%A9~%2A&g0.tab=1 a+b%26c%3Dd%2F%C3%A9 &lt;a href=&#39;x&#39;&gt;&#34;&amp; it\\\'s \\"\\u003Cb\\u003E\\" \\u003D\\u000A\\\\é <b> 1 2 1a',
    ),
    (
        '{{ stripPort "a:80" }} {{ stripPort "a" }} {{ stripPort "[::1]:80" }} {{ stripPort "::1" }} {{ stripPort "[::1]" }} {{ stripPort "a:b:80" }} {{ stripPort ":80" }} {{ stripPort "" }} {{ stripPort "[a]b:80" }}',
        "a a ::1 ::1 [::1] a:b:80   [a]b:80",
    ),
    (
        "{{ $externalURL }} {{ .ExternalURL }} {{ $externalLabels.cluster }} {{ .ExternalLabels }} {{ $externalLabels.nope }}|",
        "https://prom.example.com/base/x?y=1 https://prom.example.com/base/x?y=1 c1 map[cluster:c1 region:eu] |",
    ),
    (
        '{{ parseDuration "1h30m" }} {{ parseDuration "0" }} {{ parseDuration "90s" | humanizeDuration }} {{ parseDuration "1d12h" }} {{ parseDuration "1ms" }}',
        "5400 0 1m 30s 129600 0.001",
    ),
    (
        '{{ args 1 "a" $value }} {{ with args "x" 2 }}{{ .arg0 }}-{{ .arg1 }}-{{ .arg9 }}{{ end }}',
        "map[arg0:1 arg1:a arg2:1.234567891e+06] x-2-<no value>",
    ),
    ('{{ sortByLabel "instance" nil }}', "[]"),
    (
        '{{ range query "sort(up)" }}{{ .Labels.instance }}={{ .Value }} {{ end }}{{ range query "none" }}x{{ else }}none{{ end }}',
        "b=1 a=2.5 c=3e+06 none",
    ),
    (
        '{{ range $i, $e := query "sort(up)" }}{{ $i }}:{{ $e.Labels.zone }}/{{ label "instance" $e }}/{{ $e | value }} {{ end }}',
        "0:x/b/1 1:y/a/2.5 2:x/c/3e+06 ",
    ),
    (
        "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }} {{ range $v := $labels }}{{ $v }};{{ end }}",
        "instance=db-1.example.com:9090;job=api;n=42;path=/x y?z=é&q=<b>\"'; db-1.example.com:9090;api;42;/x y?z=é&q=<b>\"';",
    ),
    (
        '{{ range query "sort(up)" | sortByLabel "instance" }}{{ .Labels.instance }} {{ end }}{{ range sortByLabel "zone" (query "sort(up)") }}{{ .Labels.instance }} {{ end }}',
        "a b c b c a ",
    ),
    (
        '{{ range $i, $e := query "sort(up)" }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $i }}{{ if gt $i 1 }}{{ break }}{{ end }}{{ end }}',
        "02",
    ),
    ('{{ $x := 1 }}{{ range query "sort(up)" }}{{ $x = .Value }}{{ $y := 2 }}{{ end }}{{ $x }}', "3e+06"),
    ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
    (
        '{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}{{ with "" }}a{{ else }}b{{ end }}{{ with $labels.job }}[{{ . }}]{{ end }}',
        "55b[api]",
    ),
    ("{{ if $x := 0 }}a{{ else }}b{{ $x }}{{ end }}", "b0"),
    (
        '{{ if and (gt $value 5.0) (eq $labels.job "api") }}A{{ else if eq 1 1 }}B{{ else }}C{{ end }}{{ if false }}{{ else if true }}D{{ end }}',
        "AD",
    ),
    ('  a {{- " b " -}} c  {{/* comment */}}d {{- /* c */ -}} e {{ "x" -}} \n\n  f\n{{- "g" }}', "  a b c  de xfg"),
    ("a {{- 3 }} b {{-3 }}", "a3 b -3"),
    (
        '{{ define "t" }}[{{ . }}{{ $ }}]{{ end }}{{ template "t" 5 }}{{ template "t" }}{{ block "b" $value }}<{{ . }}>{{ end }}{{ template "b" 1 }}',
        "[55][<no value><no value>]<1.234567891e+06><1>",
    ),
    ('{{ define "r" }}{{ if . }}{{ len . }}{{ template "r" (slice . 1) }}{{ end }}{{ end }}{{ template "r" "abc" }}', "321"),
    ('{{ (query "sort(up)" | first).Labels.instance }} {{ (index (query "sort(up)") 2).Value }}', "b 3e+06"),
    (
        "{{ . }}",
        "{map[instance:db-1.example.com:9090 job:api n:42 path:/x y?z=é&q=<b>\"'] map[cluster:c1 region:eu] https://prom.example.com/base/x?y=1 1.234567891e+06}",
    ),
    (
        "{{ $ }} {{ $.Value }} {{ $.Labels.job }}",
        "{map[instance:db-1.example.com:9090 job:api n:42 path:/x y?z=é&q=<b>\"'] map[cluster:c1 region:eu] https://prom.example.com/base/x?y=1 1.234567891e+06} 1.234567891e+06 api",
    ),
    ('{{ or "" }}|{{ and "a" "" }}|{{ "x" | or "" }}|{{ "x" | and "a" }}|{{ "x" | and "" }}|', "||x|x||"),
    ('{{ and 0 (index "abc" 9) }} {{ or 1 (index "abc" 9) }}', "0 1"),
    (
        '{{ "a" | printf "%s-%s" "b" }} {{ "%d" | printf }} {{ 3 | printf "%d" | len }} {{ ("a") }} {{ (len "abc") | printf "%03d" }}',
        "b-a %!d(MISSING) 1 a 003",
    ),
    ('{{ printf "%s" (printf "%v" 1) }} {{ print (print 1 2) (print "a") }}', "1 1 2a"),
    ('{{ $v := printf "%.1f" $value }}{{ $v }} {{ len $v }}', "1234567.9 9"),
    (
        '{{ "\\u00e9\\x41\\101\\n\\"" }} {{ \'\\u00e9\' }} {{ printf "%q" "a\\tb\\x01\\u200b\\x7f" }}',
        'éAA\n" 233 "a\\tb\\x01\\u200b\\x7f"',
    ),
    ('{{ printf "%06s|%-06d|%06.2f|%+q|%#x|%x" "ab" 5 1.5 65 "hé" -255 }}', "0000ab|5     |001.50|'A'|0x68c3a9|-ff"),
    (
        '{{ printf "%8v|%-8v|%08v" "ab" true 12 }} {{ printf "%3c|%-3c|%q|%#q" 65 65 39 65 }} {{ printf "%6.3v" 3.14159 }} {{ printf "%.3v" "abcdef" }} {{ printf "%5v" nil }} {{ printf "%10v" $labels }}',
        "      ab|true    |00000012   A|A  |'\\''|'A'   3.14 abc <nil> map[  instance:db-1.example.com:9090        job:       api          n:        42       path:/x y?z=é&q=<b>\"']",
    ),
    (
        '{{ printf "%+d %+d" 5 -5 }} {{ printf "%+v" 1.5 }} {{ printf "%#v %#v %#v %#v" 1.5 1e6 "a" 5 }} {{ printf "%#g %#.3g %#.0f" 1.5 1.5 2.0 }}',
        '+5 -5 1.5 1.5 1e+06 "a" 5 1.50000 1.50 2.',
    ),
    (
        '{{ printf "%e %.0e %g %g %g" 0.0 12345.0 1e100 1e-5 123456789.123 }}',
        "0.000000e+00 1e+04 1e+100 1e-05 1.23456789123e+08",
    ),
    (
        '{{ printf "%t" "x" }} {{ printf "%x" $labels }} {{ printf "%p" 5 }} {{ printf "%w" 5 }} {{ printf "%-+5d|" 3 }}',
        "%!t(string=x) map[696e7374616e6365:64622d312e6578616d706c652e636f6d3a39303930 6a6f62:617069 6e:3432 70617468:2f7820793f7a3dc3a926713d3c623e2227] %!p(int=5) %!w(int=5) +3   |",
    ),
    (
        '{{ printf "%v" \'x\' }} {{ printf "%c%c" \'x\' 0x1F600 }} {{ printf "%U" 0x1F600 }} {{ printf "%d" 9223372036854775807 }}',
        "120 x😀 U+1F600 9223372036854775807",
    ),
    (
        '{{ printf "%.2x %.0x %#.0X %.15x %x %#g %#v|%#v %U %b %w %.3U" 1e21 -2.5e10 0.0 1.5 0.0 2.0 2.0 (index "a" 0) -7 0.0 5 65 }}',
        "0x1.b2p+69 -0x1p+34 0X0.P+00 0x1.800000000000000p+00 0x0p+00 2.00000 2|0x61 U+FFFFFFFFFFFFFFF9 0p-1074 %!w(int=5) U+0041",
    ),
    ("{{ true | not }} {{ not true | not }}", "false true"),
]
"""Templates and what becomes of them, the same as promtool's."""

FAILED: Final = [
    ('{{ slice "abc" 2 1 }}', '1:115: <slice "abc" 2 1>: error calling slice: invalid slice index: 2 > 1'),
    ('{{ slice "abc" 5 }}', '1:115: <slice "abc" 5>: error calling slice: index out of range: 5'),
    ('{{ slice "abc" 1 2 3 }}', '1:115: <slice "abc" 1 2 3>: error calling slice: cannot 3-index slice a string'),
    ("{{ slice 5 1 }}", "1:115: <slice 5 1>: error calling slice: can't slice item of type int"),
    ('{{ index "abc" 3 }}', '1:115: <index "abc" 3>: error calling index: reflect: string index out of range'),
    ('{{ index "abc" 9 }}', '1:115: <index "abc" 9>: error calling index: index out of range: 9'),
    ('{{ index "abc" "x" }}', '1:115: <index "abc" "x">: error calling index: cannot index slice/array with type string'),
    ("{{ index $labels 3 }}", "1:115: <index $labels 3>: error calling index: value has type int; should be string"),
    ("{{ index 5 3 }}", "1:115: <index 5 3>: error calling index: can't index item of type int"),
    ("{{ index nil 3 }}", "1:115: <index nil 3>: error calling index: index of untyped nil"),
    (
        '{{ index (query "none") 0 }}',
        '1:115: <index (query "none") 0>: error calling index: reflect: slice index out of range',
    ),
    ("{{ len 3 }}", "1:115: <len 3>: error calling len: len of type int"),
    ("{{ len nil }}", "1:115: <len nil>: error calling len: reflect: call of reflect.Value.Type on zero Value"),
    ("{{ and }}", "1:115: <and>: wrong number of args for and: want at least 1 got 0"),
    ("{{ lt true false }}", "1:115: <lt true false>: error calling lt: invalid type for comparison"),
    ("{{ eq 1 }}", "1:115: <eq 1>: error calling eq: missing argument for comparison"),
    ("{{ lt nil 1 }}", "1:115: <lt nil 1>: error calling lt: invalid type for comparison"),
    (
        "{{ eq $labels $labels }}",
        "1:115: <eq $labels $labels>: error calling eq: non-comparable type map[instance:db-1.example.com:9090 job:api n:42 path:/x y?z=é&q=<b>\"']: map[string]string",
    ),
    (
        "{{ humanizeTimestamp 1e30 }}",
        "1:115: <humanizeTimestamp 1e30>: error calling humanizeTimestamp: 1e+30 cannot be represented as a nanoseconds timestamp since it overflows int64",
    ),
    (
        '{{ humanize "xyz" }}',
        '1:115: <humanize "xyz">: error calling humanize: strconv.ParseFloat: parsing "xyz": invalid syntax',
    ),
    ("{{ humanize true }}", "1:115: <humanize true>: error calling humanize: can't convert bool to float"),
    ("{{ humanize nil }}", "1:115: <humanize nil>: error calling humanize: can't convert <nil> to float"),
    (
        "{{ humanize $labels }}",
        "1:115: <humanize $labels>: error calling humanize: can't convert map[string]string to float",
    ),
    (
        '{{ humanizeDuration "1e999" }}',
        '1:115: <humanizeDuration "1e999">: error calling humanizeDuration: strconv.ParseFloat: parsing "1e999": value out of range',
    ),
    ('{{ match "(" "a" }}', '1:115: <match "(" "a">: error calling match: error parsing regexp: missing closing ): `(`'),
    (
        '{{ reReplaceAll "(" "a" "b" }}',
        '1:115: <reReplaceAll "(" "a" "b">: error calling reReplaceAll: regexp: Compile(`(`): error parsing regexp: missing closing ): `(`',
    ),
    ('{{ parseDuration "x" }}', '1:115: <parseDuration "x">: error calling parseDuration: not a valid duration string: "x"'),
    ('{{ parseDuration "" }}', '1:115: <parseDuration "">: error calling parseDuration: empty duration string'),
    (
        '{{ first (query "none") }}',
        '1:115: <first (query "none")>: error calling first: first() called on vector with no elements',
    ),
    (
        '{{ label "x" nil }}',
        '1:115: <label "x" nil>: error calling label: runtime error: invalid memory address or nil pointer dereference',
    ),
    (
        "{{ value nil }}",
        "1:115: <value nil>: error calling value: runtime error: invalid memory address or nil pointer dereference",
    ),
    ("{{ first nil }}", "1:115: <first nil>: error calling first: first() called on vector with no elements"),
    ('{{ template "nope" }}', '1:124: <{{template "nope"}}>: template "nope" not defined'),
    (
        '{{ define "e" }}{{ humanize "x" }}{{ end }}{{ template "e" }}',
        '1:131: executing "e" at <humanize "x">: error calling humanize: strconv.ParseFloat: parsing "x": invalid syntax',
    ),
    ("{{ .Labels.foo }}|{{ .Labels.job.x }}", "1:140: <.Labels.job.x>: can't evaluate field x in type string"),
    ("{{ $labels.job.foo.bar }}", "1:122: <$labels.job.foo.bar>: can't evaluate field foo in type string"),
    ("{{ $value.x }}", "1:121: <$value.x>: can't evaluate field x in type float64"),
    ("{{ .Value.x }}", "1:121: <.Value.x>: can't evaluate field x in type float64"),
    ('{{ (query "none").x }}', '1:122: <"none">: can\'t evaluate field x in type template.queryResult'),
    ('{{ (query "sort(up)" | first).Foo }}', "1:135: <first>: can't evaluate field Foo in type *template.sample"),
    ("{{ nil }}", "1:115: <nil>: nil is not a command"),
    ("{{ $labels 5 }}", "1:115: <$labels>: can't give argument to non-function $labels"),
    ("{{ 5 | $value }}", "1:119: <$value>: can't give argument to non-function $value"),
    ("{{ .Labels 5 }}", "1:115: <.Labels>: Labels has arguments but cannot be invoked as function"),
    ("{{ $labels.job 5 }}", "1:122: <$labels.job>: job is not a method but has arguments"),
    ("{{ humanize }}", "1:115: <humanize>: wrong number of args for humanize: want 1 got 0"),
    ("{{ humanize 1 2 }}", "1:115: <humanize>: wrong number of args for humanize: want 1 got 2"),
    ("{{ title 5 }}", "1:121: <5>: expected string; found 5"),
    ("{{ title $value }}", "1:121: <$value>: wrong type for value; expected string; got float64"),
    ("{{ $value | title }}", "1:124: <title>: wrong type for value; expected string; got float64"),
    ("{{ title nil }}", "1:121: <nil>: cannot assign nil to string"),
    ("{{ printf 5 }}", "1:122: <5>: expected string; found 5"),
    ("{{ printf }}", "1:115: <printf>: wrong number of args for printf: want at least 1 got 0"),
    ("{{ printf $value }}", "1:122: <$value>: wrong type for value; expected string; got float64"),
    ('{{ match "a" }}', "1:115: <match>: wrong number of args for match: want 2 got 1"),
    ('{{ label 5 (query "sort(up)" | first) }}', "1:121: <5>: expected string; found 5"),
    ('{{ label "a" 5 }}', "1:125: <5>: can't handle 5 for arg of type *template.sample"),
    (
        '{{ value (query "sort(up)") }}',
        '1:128: <"sort(up)">: wrong type for value; expected *template.sample; got template.queryResult',
    ),
    ("{{ value $value }}", "1:121: <$value>: wrong type for value; expected *template.sample; got float64"),
    (
        '{{ query "up{" }}',
        '1:115: <query "up{">: error calling query: 1:4: parse error: unexpected end of input inside braces',
    ),
    ("{{ query 5 }}", "1:121: <5>: expected string; found 5"),
    ('{{ range "abc" }}x{{ end }}', '1:121: <"abc">: range can\'t iterate over abc'),
    ("{{ range $value }}x{{ end }}", "1:121: <$value>: range can't iterate over 1.234567891e+06"),
    ("{{ range true }}x{{ end }}", "1:121: <true>: range can't iterate over true"),
    ("{{ range nil }}x{{ end }}", "1:121: <nil>: nil is not a command"),
    ('{{ safeHtml "<b>" | title }}', "1:132: <title>: wrong type for value; expected string; got template.HTML"),
    (
        '{{ humanize (safeHtml "5") }}',
        '1:115: <humanize (safeHtml "5")>: error calling humanize: can\'t convert template.HTML to float',
    ),
    ("{{ call 5 }}", "1:115: <call 5>: error calling call: non-function of type int"),
    ('{{ and 1 (index "abc" 9) }}', '1:122: <index "abc" 9>: error calling index: index out of range: 9'),
    (
        '{{ title (printf "%s is %s" $labels.job "down") }}\nsecond {{ humanize "y" }}',
        '2:10: <humanize "y">: error calling humanize: strconv.ParseFloat: parsing "y": invalid syntax',
    ),
    (
        '{{ "é" }}{{ "ü" | humanize }}',
        '1:132: <humanize>: error calling humanize: strconv.ParseFloat: parsing "ü": invalid syntax',
    ),
    (
        'éé {{ humanize (printf "%s" "z") | title }}',
        '1:120: <humanize (printf "%s" "z")>: error calling humanize: strconv.ParseFloat: parsing "z": invalid syntax',
    ),
    (
        '{{ if humanize "q" }}a{{ end }}',
        '1:118: <humanize "q">: error calling humanize: strconv.ParseFloat: parsing "q": invalid syntax',
    ),
    (
        '{{ with $x := humanize "q" }}a{{ end }}',
        '1:126: <humanize "q">: error calling humanize: strconv.ParseFloat: parsing "q": invalid syntax',
    ),
    (
        '{{ range query "sort(up)" | humanize }}a{{ end }}',
        "1:140: <humanize>: error calling humanize: can't convert template.queryResult to float",
    ),
    (
        '{{ printf "%v" (index $labels 3) }}',
        "1:128: <index $labels 3>: error calling index: value has type int; should be string",
    ),
    ("{{ 9223372036854775808 }}", "1:115: <9223372036854775808>: 9223372036854775808 overflows int"),
    ("{{ print 18446744073709551615 }}", "1:121: <18446744073709551615>: 18446744073709551615 overflows int"),
]
"""Templates that cannot be expanded, and the message after `template: alert:`, without `executing "alert" at`."""

REFUSED: Final = [
    ("{{ foo }}", '1: function "foo" not defined'),
    ("{{ $labels.foo-bar }}", "1: bad character U+002D '-'"),
    ("{{ $nope }}", '1: undefined variable "$nope"'),
    ("{{ }}", "1: missing value for command"),
    ("{{", "1: unclosed action"),
    ("{{ $value", "1: unclosed action"),
    ("{{ | humanize }}", '1: unexpected "|" in command'),
    ('{{ $value | "a" }}', "1: non executable command in pipeline stage 2"),
    ("{{ if }}a{{ end }}", "1: missing value for if"),
    ("{{ if $value }}a", "1: unexpected EOF"),
    ("{{ end }}", "1: unexpected {{end}}"),
    ("{{ else }}", "1: unexpected {{else}}"),
    ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "1: expected end; found {{else}}"),
    ("{{ range $i, $j, $k := $labels }}{{ end }}", "1: too many declarations in range"),
    ("{{ range $i, 5 := $labels }}{{ end }}", "1: range can only initialize variables"),
    ("{{ $a, $b := 5 }}", "1: too many declarations in command"),
    ('{{ "abc }}', "1: unterminated quoted string"),
    ("{{ `abc }}", "1: unterminated raw quoted string"),
    ("{{ 'abc }}", "1: unterminated character constant"),
    ("{{ 'abc' }}", "1: malformed character constant: 'abc'"),
    ("{{ '' }}", "1: invalid syntax"),
    ('{{ "\\z" }}', "1: invalid syntax"),
    ('{{ "\\xzz" }}', "1: invalid syntax"),
    ("{{ (5 }}", "1: unclosed left paren"),
    ("{{ () }}", "1: missing value for parenthesized pipeline"),
    ("{{ 5.x }}", '1: bad number syntax: "5.x"'),
    ('{{ "a".b }}', '1: unexpected . after term "\\"a\\""'),
    ("{{ nil.x }}", '1: unexpected . after term "nil"'),
    ("{{ true.y }}", '1: unexpected . after term "true"'),
    ("{{ ..x }}", '1: unexpected . after term "."'),
    ("{{ 1a }}", '1: bad number syntax: "1a"'),
    ("{{ 0x }}", '1: illegal number syntax: "0x"'),
    ("{{ 08 }}", '1: integer overflow: "08"'),
    ("{{ 0b2 }}", '1: bad number syntax: "0b2"'),
    ("{{ 1_ }}", '1: illegal number syntax: "1_"'),
    ("{{ 99999999999999999999 }}", '1: integer overflow: "99999999999999999999"'),
    ("{{ 1e999 }}", '1: illegal number syntax: "1e999"'),
    ("{{ 1..2 }}", '1: unexpected ".2" in operand'),
    ("{{ 1-2 }}", '1: bad number syntax: "1-2"'),
    ("{{ + }}", '1: illegal number syntax: "+"'),
    ("{{ - }}", '1: illegal number syntax: "-"'),
    ("{{ $x : 5 }}", '1: undefined variable "$x"'),
    ("{{ := 5 }}", '1: unexpected ":=" in command'),
    ("{{ $x := }}", "1: missing value for command"),
    ("{{ 5 := 5 }}", '1: unexpected ":=" in operand'),
    ("{{ , }}", '1: unexpected "," in command'),
    ("{{ a, b }}", '1: function "a" not defined'),
    ("{{ @ }}", '1: unexpected "@" in command'),
    ("{{ é }}", '1: function "é" not defined'),
    ("{{ $é }}", '1: undefined variable "$é"'),
    ("{{ → }}", "1: unrecognized character in action: U+2192 '→'"),
    ("{{ /* a }}", '1: unexpected "/" in command'),
    ("{{/* a }}", "1: unclosed comment"),
    ("{{/* a */ b}}", "1: comment ends before closing delimiter"),
    ("{{ template }}", '1: unexpected "}}" in template clause'),
    ("{{ template foo }}", '1: unexpected "foo" in template clause'),
    ('{{ template "a\\z" }}', "1: invalid syntax"),
    ("{{ define }}{{ end }}", '1: unexpected "}}" in define clause'),
    ('{{ define "x" }}', "1: unexpected EOF"),
    ('{{ define "x" }}a{{ else }}{{ end }}', "1: unexpected {{else}} in define clause"),
    ('{{ define "x" }}a{{ end }}{{ define "x" }}b{{ end }}', '1: template: multiple definition of template "x"'),
    ('{{ define "x" }}{{ $labels }}{{ end }}', '1: undefined variable "$labels"'),
    ('{{ if 1 }}{{ define "x" }}{{ end }}{{ end }}', "1: unexpected <define> in command"),
    ('{{ block "x" }}{{ end }}', "1: missing value for block clause"),
    ('{{ block "x" . }}a', "1: unexpected EOF"),
    ("{{ block }}", '1: unexpected "}}" in block clause'),
    ("{{ break }}", "1: {{break}} outside {{range}}"),
    ("{{ continue }}", "1: {{continue}} outside {{range}}"),
    ("{{ range 5 }}{{ break 5 }}{{ end }}", '1: unexpected "5" in {{break}}'),
    ("{{ end 5 }}", '1: unexpected "5" in end'),
    ("{{ if 1 }}{{ else 5 }}{{ end }}", '1: unexpected "5" in else'),
    ("{{ with 1 }}{{ else if 5 }}{{ end }}", "1: unexpected <if> in input"),
    ("{{ range 1 }}{{ else if 5 }}{{ end }}{{ end }}", "1: unexpected <if> in input"),
    ("{{ with 1 }}{{ else if 5 }}{{ end }}{{ end }}", "1: unexpected <if> in input"),
    ("a\nb {{ $value }} \n{{ foo }}", '3: function "foo" not defined'),
    ("a\n{{ if 1 }}\n\n", "4: unexpected EOF"),
    ("{{ $value\n }} {{ foo }}", '2: function "foo" not defined'),
    ('{{ "a\nb" }}', "1: unterminated quoted string"),
    ('{{ printf "a"\n"b" `c\nd` | foo }}', '3: function "foo" not defined'),
    ("{{ printf `c\nd` \n", "3: unclosed action started at alert:1"),
    ("{{ (printf `c\nd` \n }}", "3: unclosed left paren in action started at alert:1"),
    ("{{ humanize $value }}}} {{{ 5 }}", '1: unexpected "{" in command'),
    ("{{{ $value }}}", '1: unexpected "{" in command'),
    ("{{ $labels.instance }", '1: unexpected "}" in operand'),
    ("{{ $labels..instance }}", "1: unexpected <.> in operand"),
    ("{{ $labels. }}", "1: unexpected <.> in operand"),
    ('{{ $labels["a"] }}', "1: bad character U+005B '['"),
    ("{{ .Labels.a/b }}", "1: bad character U+002F '/'"),
    ("{{ humanize($value) }}", '1: unexpected "(" in operand'),
    ("{{ $value + 5 }}", '1: illegal number syntax: "+"'),
    ("{{ $value * 100 }}", '1: unexpected "*" in operand'),
    ("{{ $value/100 }}", "1: bad character U+002F '/'"),
    ("{{ $value == 5 }}", '1: unexpected "=" in command'),
    ("{{ range }}", "1: missing value for range"),
    ("{{ nil }}{{ 5 | nil }}", "1: non executable command in pipeline stage 2"),
    ("{{ 5 | . }}", "1: non executable command in pipeline stage 2"),
    ("{{ 5 | .x }}{{ foo.x }}", '1: function "foo" not defined'),
    ("{{ (foo) }}", '1: function "foo" not defined'),
    ('{{ "averyveryverylongstring" foo bar }}{{ }', '1: function "foo" not defined'),
    ("{{ % }}", '1: unexpected "%" in command'),
    ('{{ $labels.job | toUpper | reReplaceAll "a" }}{{ $q }}', '1: undefined variable "$q"'),
    ("{{ $1 }}", '1: undefined variable "$1"'),
    ("{{ ! }} \\x07", '1: unexpected "!" in command'),
    ("{{ if eq $value 1 }}a{{ else if eq $value 2 }}b{{ else if }}c{{ end }}", "1: missing value for if"),
    ("{{ with $x := 1 }}{{ end }}{{ $x }}", '1: undefined variable "$x"'),
    ("{{ if $y := 1 }}{{ end }}{{ $y }}", '1: undefined variable "$y"'),
    ("{{ range $z := $labels }}{{ end }}{{ $z }}", '1: undefined variable "$z"'),
    ('{{ define "x" }}{{ range 5 }}{{ define "y" }}{{ end }}{{ end }}{{ end }}', "1: unexpected <define> in command"),
    ('{{ range 5 }}{{ block "x" . }}{{ break }}{{ end }}{{ end }}', "1: {{break}} outside {{range}}"),
    ("{{ 5 5", "1: unclosed action"),
    (
        '{{ define "a" }}{{ end }} {{ define "a" }} x {{ end }} {{ template "a" }} {{ define "a" }} {{ end }}{{ foo }}',
        '1: function "foo" not defined',
    ),
    ("{{- /* x */ -}} {{- foo -}}", '1: function "foo" not defined'),
    ("{{-foo}}", '1: bad number syntax: "-f"'),
    ("{{foo-}}", "1: bad character U+002D '-'"),
    ("{{- - }}", '1: illegal number syntax: "-"'),
    ("{{ - -}}", '1: illegal number syntax: "-"'),
]
"""Texts that are no templates, and the message after `template: alert:`."""

NEWER_EXPANDED: Final = [
    ('{{ title "it\'s a.b c:d 3d x_y é-é a.-b" }}', "It's A.b C:d 3D X_y É-É A.-B"),
    ("{{ externalURL }} {{ pathPrefix }}", "https://prom.example.com/base/x?y=1 /base/x"),
    ("{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}{{ $i }}{{ end }}{{ range 0 }}x{{ else }}none{{ end }}", "01201none"),
    ("{{ with 0 }}a{{ else with 5 }}{{ . }}{{ else }}c{{ end }}", "5"),
    ("{{ now }} {{ now | toTime }}", "300 1970-01-01 00:05:00 +0000 UTC"),
    ('{{ stripDomain "db.example.com:80" }} {{ stripDomain "a.b" }} {{ stripDomain "10.0.0.1:80" }}', "db:80 a 10.0.0.1:80"),
    ('{{ stripDomain "[::1]:80" }} {{ stripDomain "::1" }} {{ stripDomain "" }}|', "[::1]:80 ::1 |"),
    ('{{ urlQueryEscape "a b/é" }}', "a+b%2F%C3%A9"),
    ("{{ toTime 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
    (
        '{{ (toTime 1435065584.128).Format "Mon Monday Jan January 02 _2 2 __2 002 01 1 06 2006" }}',
        "Tue Tuesday Jun June 23 23 23 174 174 06 6 15 2015",
    ),
    (
        '{{ (toTime 1435065584.128).Format "15 03 3 04 4 05 5 PM pm MST -0700 -07:00 Z07:00 .000 .999999 ,0" }}',
        "13 01 1 19 19 44 44 PM pm UTC +0000 +00:00 Z .128 .128 ,1",
    ),
    (
        "{{ $t := toTime 1e9 }}{{ $t.Year }} {{ $t.Month }} {{ $t.Day }} {{ $t.Weekday }} {{ $t.YearDay }}",
        "2001 September 9 Sunday 252",
    ),
    (
        "{{ $t := toTime 1e9 }}{{ $t.Hour }}:{{ $t.Minute }}:{{ $t.Second }} {{ $t.Unix }} {{ $t.UnixMilli }}",
        "1:46:40 1000000000 1000000000000",
    ),
    (
        '{{ $t := toTime 0 }}{{ ($t.Add (toDuration 90.5)).Format "04:05.0" }} {{ ((toTime 60).Sub $t).Minutes }}',
        "01:30.5 1",
    ),
    (
        "{{ $t := toTime 0 }}{{ $t.Before (toTime 1) }} {{ $t.After (toTime 1) }} {{ $t.Equal $t }} {{ $t.IsZero }}",
        "true false true false",
    ),
    (
        "{{ (toTime 0).AddDate 0 1 30 }} {{ (toTime 2678400).AddDate 0 1 0 }}",
        "1970-03-03 00:00:00 +0000 UTC 1970-03-01 00:00:00 +0000 UTC",
    ),
    ("{{ (toTime 100).Truncate (toDuration 60) }}", "1970-01-01 00:01:00 +0000 UTC"),
    ('{{ printf "%d %v %q" (toTime 0).Month (toTime 0).Month (toTime 0).Month }}', '1 January "January"'),
    (
        '{{ toDuration 3723.5 }} {{ toDuration 0.0015 }} {{ toDuration -61 }} {{ toDuration 0 }} {{ toDuration "2e-6" }}',
        "1h2m3.5s 1.5ms -1m1s 0s 2µs",
    ),
    (
        "{{ (toDuration 5400).Hours }} {{ (toDuration 1.5).Milliseconds }} {{ (toDuration 90).Round (toDuration 60) }}",
        "1.5 1500 2m0s",
    ),
    (
        "{{ (toDuration -90.5).Abs.Seconds | humanizeDuration }} {{ humanizeDuration ((toDuration 90).Abs) }}",
        "1m 30s 1m 30s",
    ),
]

NEWER_FAILED: Final = [
    ("{{ eq 1 1.0 }}", "1:115: <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64"),
    ("{{ gt $value 5 }}", "1:115: <gt $value 5>: error calling gt: incompatible types for comparison: float64 and int"),
    (
        "{{ .Foo }}",
        "1:115: <.Foo>: can't evaluate field Foo in type struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }",
    ),
    ('{{ query "up + on() up" }}', '1:115: <query "up + on() up">: error calling query: found duplicate series'),
    ("{{ range $i, $x := 5 }}{{ end }}", "1:131: <5>: can't use 5 to iterate over more than one variable"),
    ("{{ (toTime 1).Foo }}", "1:123: <1>: can't evaluate field Foo in type *time.Time"),
    ("{{ (toTime 1).Format 5 }}", "1:133: <5>: expected string; found 5"),
    ("{{ (toTime 1).AddDate 1 2 1.5 }}", "1:138: <1.5>: expected integer; found 1.5"),
    ("{{ (toTime 1).Add 5.5 }}", "1:130: <5.5>: expected integer; found 5.5"),
    ("{{ (toTime 1).Sub 5 }}", "1:130: <5>: can't handle 5 for arg of type time.Time"),
    (
        "{{ (toTime 1).AddDate 99999 0 0 }}",
        "1:125: <(toTime 1).AddDate>: error calling AddDate: year is not in the range [1, 9999]",
    ),
    (
        "{{ humanize (toDuration 5) }}",
        "1:115: <humanize (toDuration 5)>: error calling humanize: can't convert *time.Duration to float",
    ),
    ('{{ toTime "NaN" }}', '1:115: <toTime "NaN">: error calling toTime: value is NaN or Inf'),
]

NEWER_REFUSED: Final = [
    ("{{ 5) }}", "1: unexpected right paren"),
    ("{{ if 1 }}{{ else with 5 }}{{ end }}", "1: unexpected <with> in input"),
    ("{{ 1.5i }}", '1: complex numbers are not supported: "1.5i"'),
]


@pytest.mark.parametrize(("text", "expected"), [*EXPANDED, *NEWER_EXPANDED])
def test_a_template_is_expanded_as_go_expands_it(text: str, expected: str) -> None:
    assert compile_template(text).expand(FACTS) == expected


@pytest.mark.parametrize(("text", "message"), [*FAILED, *NEWER_FAILED])
def test_what_cannot_be_expanded_says_where_and_why_as_go_says_it(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as failure:
        compile_template(text).expand(FACTS)
    assert str(failure.value).replace('executing "alert" at ', "") == f"template: alert:{message}"


@pytest.mark.parametrize(("text", "message"), [*REFUSED, *NEWER_REFUSED])
def test_what_is_no_template_is_refused_as_go_refuses_it(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as failure:
        compile_template(text)
    assert str(failure.value) == f"template: alert:{message}"


def test_errors_call_a_template_by_its_name() -> None:
    with pytest.raises(TemplateError, match=r'^template: __alert_Down:1:115: executing "__alert_Down" at <len 5>: '):
        compile_template("{{ len 5 }}", name="__alert_Down").expand(FACTS)
    with pytest.raises(TemplateError, match=r'^template: __alert_Down:1: function "foo" not defined$'):
        compile_template("{{ foo }}", name="__alert_Down")


def test_a_text_without_actions_is_given_as_it_is() -> None:
    template = compile_template("100 % }} $labels { {")
    assert template.is_plain
    assert template.expand(FACTS) == template.text


def test_without_a_query_function_every_query_is_empty() -> None:
    assert compile_template('{{ query "up" | len }}').expand(Facts({}, 1.0)) == "0"


def test_a_missing_label_is_empty() -> None:
    assert compile_template("[{{ $labels.nope }}{{ .Labels.nope }}]").expand(FACTS) == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (100000.0, "100000"), (1e6, "1e+06"), (0.0001, "0.0001"), (0.00001, "1e-05"), (float("nan"), "NaN"),
     (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (1 / 3, "0.3333333333333333"), (5e-324, "5e-324")],
)  # fmt: skip
def test_a_value_is_written_as_go_writes_a_float(value: float, text: str) -> None:
    assert float_text(value) == text
    assert compile_template("{{ $value }}").expand(replace(FACTS, value=value)) == text


def test_bytes_that_are_no_characters_pass_through() -> None:
    facts = replace(FACTS, labels={"a": "x\udcffy"})
    assert compile_template('{{ $labels.a }} {{ len $labels.a }} {{ printf "%q %x" $labels.a $labels.a }}').expand(
        facts
    ) == ('x\udcffy 3 "x\\xffy" 78ff79')


# Limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ range 1000000000 }}{{ end }}", "more than 50000 steps"),
        ('{{ define "r" }}{{ template "r" }}{{ end }}{{ template "r" }}', r"exceeded maximum template depth \(80\)"),
        ('{{ $x := "aaaa" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}', "text is longer than 262144 characters"),
        ("{{ $x := args 1 }}{{ range 100 }}{{ $x = args $x $x }}{{ end }}{{ $x }}", "text is longer than 262144 characters"),
        ("{{ $x := args 1 }}{{ range 100 }}{{ $x = args $x }}{{ end }}{{ $x }}", "text is longer than 262144 characters"),
        ('{{ printf "%999999d%.999999f" 1 1.0 }}', "text is longer than 262144 characters"),
        ('{{ printf "%*d" 999999 1 }}', "text is longer than 262144 characters"),
        ('{{ range 5000 }}{{ printf "%60s" "" }}{{ end }}', "text is longer than 262144 characters"),
        ('{{ reReplaceAll " " "x" (printf "%10000d" 1) }}', "more than 300000 characters to read"),
        ('{{ reReplaceAll "x" (printf "%100000d" 1) "xxx" }}', "text is longer than 262144 characters"),
        ('{{ range 1000 }}{{ query "none" }}{{ end }}', "more than 200 queries"),
    ],
)
def test_an_expansion_has_limits(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=f"^template: alert:1:.*{message}$"):
        compile_template(text).expand(FACTS)


@pytest.mark.parametrize("text", ["{{" + "(" * 61 + "5" + ")" * 61 + "}}", "{{if 1}}" * 61 + "{{end}}" * 61])
def test_what_nests_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match=r"^template: alert:1: max expression depth exceeded$"):
        compile_template(text)


def test_what_nests_as_deeply_as_it_may_is_expanded() -> None:
    assert compile_template("{{" + "(" * 60 + "5" + ")" * 60 + "}}").expand(FACTS) == "5"
    assert compile_template("{{if 1}}" * 60 + "x" + "{{end}}" * 60).expand(FACTS) == "x"
    chain = "{{if 0}}" + "".join(f"{{{{else if eq $value {number}.0}}}}" for number in range(50)) + "{{else}}x{{end}}"
    assert compile_template(chain).expand(FACTS) == "x"


def test_a_text_of_many_ways_to_match_takes_no_time() -> None:
    text = (
        '{{ match "(a|aa)+$" (printf "%5000s" "b") }} {{ reReplaceAll "(x+x+)+y" "z" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" }}'
    )
    assert compile_template(text).expand(FACTS) == "false " + "x" * 34


# Laws

WORDS: Final = st.sampled_from(
    [
        '{{', '}}', '{{-', '-}}', '(', ')', '|', '.', '$', '$x', '$value', '$labels', '.Labels', '.Value', '.x',
        ':=', '=', ',', '"a"', '`b`', "'c'", '5', '-1.5', '0x1f', '1e999', 'nil', 'true', 'if', 'else', 'end',
        'range', 'with', 'define', 'template', 'block', 'break', 'continue', '/*', '*/', 'query', 'first', 'value',
        'printf', '"%d"', '"%[2]*.*v"', '"%+#v"', 'index', 'len', 'slice', 'eq', 'lt', 'and', 'or', 'not', 'args',
        'html', 'js', 'print', 'title', 'match', 'reReplaceAll', '"("', '"a*"', '"$1"', 'humanize',
        'humanizeDuration', 'humanizeTimestamp', 'toTime', 'toDuration', '.Format', '.Add', '.Month',
        'sortByLabel', '"up"', 'label', 'text', 'é', '9223372036854775808', '\n', '\t', '\udcff',
    ]
)  # fmt: skip


@settings(max_examples=examples(300))
@given(st.lists(WORDS | st.text(max_size=3), max_size=25), st.floats())
def test_nothing_but_template_errors_comes_of_any_text(words: list[str], value: float) -> None:
    try:
        text = compile_template(" ".join(words)).expand(replace(FACTS, value=value, query=lambda _: UP))
    except TemplateError as error:
        assert str(error).startswith("template: alert:")
    else:
        assert isinstance(text, str)


@settings(max_examples=examples(300))
@given(st.lists(WORDS, max_size=12), st.floats())
def test_nothing_but_template_errors_comes_of_any_action(words: list[str], value: float) -> None:
    test_nothing_but_template_errors_comes_of_any_text.hypothesis.inner_test(["{{", *words, "}}"], value)


@settings(max_examples=examples(300))
@given(
    st.text("%+-# 0123456789.*[]vTdsqxXfegGbocUtp", max_size=12),
    st.lists(
        st.sampled_from(
            ["5", "-7", "1.5", '"é"', "nil", "true", "$labels", "$value", '(query "sort(up)")', "(toDuration 5)"]
        ),
        max_size=3,
    ),
)
def test_every_format_gives_a_text_or_one_too_long(format_: str, arguments: list[str]) -> None:
    try:
        compile_template(f"{{{{ printf {json.dumps(format_)} {' '.join(arguments)} }}}}").expand(FACTS)
    except TemplateError as error:
        assert "text is longer than" in str(error)


# promtool

with_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool, from the Debian package prometheus, is not installed"
)
ANNOTATED: Final = re.compile(r't(\d+)=("(?:[^"\\]|\\.)*")')
TOGETHER: Final = 40
"""Templates that are annotations of one rule: promtool prints all labels of an alert for each that it was not told of."""


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


def series(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()) + "}"


def rules_file(path: Path, texts: Sequence[str], values: Sequence[float], together: int) -> int:
    """Write rules A0, A1, … with that many templates each, and each value in turn. Give their number."""
    parts = [texts[start : start + together] for start in range(0, len(texts), together)]
    rules = [
        {
            "alert": f"A{number}",
            "expr": f"foo * 0 + {value!r}",
            "annotations": {f"t{i}": text for i, text in enumerate(part)},
        }
        for number, (part, value) in enumerate(zip(parts, cycle(values), strict=False))
    ]
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}, ensure_ascii=False))
    return len(rules)


def expanded_by_promtool(
    folder: Path, texts: Sequence[str], labels: Mapping[str, str], values: Sequence[float]
) -> list[str]:
    """Give what promtool says became of each template."""
    count = rules_file(folder / "rules.yml", texts, values, TOGETHER)
    up = [(f'up{{instance="{told["instance"]}",zone="{told["zone"]}"}}', value) for told, value in UP]
    test = {
        "interval": "1m",
        "external_labels": EXTERNAL_LABELS,
        "external_url": EXTERNAL_URL,
        "input_series": [{"series": name, "values": f"{value!r}x9"} for name, value in ((f"foo{series(labels)}", 1.0), *up)],
        "alert_rule_test": [{"eval_time": "5m", "alertname": f"A{number}", "exp_alerts": []} for number in range(count)],
    }
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": [test]}
    (folder / "tests.yml").write_text(json.dumps(tests, ensure_ascii=False))
    said = promtool("test", "rules", str(folder / "tests.yml"))
    found: dict[int, str] = {}
    for alert in re.split(r"\n\s+alertname: A", said)[1:]:
        rule, annotations = int(re.match(r"\d+", alert)[0]), alert.rpartition("Annotations:")[2]  # type: ignore[index]
        found |= {rule * TOGETHER + int(number): unquoted(text) for number, text in ANNOTATED.findall(annotations)}
    assert len(found) == len(texts), said[:2000]
    return [found[number] for number in range(len(texts))]


def expanded_here(texts: Sequence[str], labels: Mapping[str, str], values: Sequence[float]) -> list[str]:
    """Give what the annotations would be, with errors worded as Prometheus puts them there."""
    facts = [replace(FACTS, labels=labels, value=value) for value in values]
    return [
        annotation(text, f"__alert_A{number // TOGETHER}", facts[number // TOGETHER % len(facts)])
        for number, text in enumerate(texts)
    ]


def annotation(text: str, name: str, facts: Facts) -> str:
    try:
        return compile_template(text, name=name).expand(facts)
    except TemplateError as error:
        return f"<error expanding template: error executing template {name}: {error}>"


@pytest.mark.external
@pytest.mark.real_time
@with_promtool
def test_promtool_expands_the_same_templates_to_the_same_texts(tmp_path: Path) -> None:
    texts = [text for text, _ in (*EXPANDED, *FAILED)]
    assert expanded_by_promtool(tmp_path, texts, LABELS, [VALUE]) == expanded_here(texts, LABELS, [VALUE])


@pytest.mark.external
@pytest.mark.real_time
@with_promtool
def test_promtool_refuses_the_same_texts_in_the_same_words(tmp_path: Path) -> None:
    rules_file(tmp_path / "rules.yml", [text for text, _ in REFUSED], [VALUE], together=1)
    said = promtool("check", "rules", str(tmp_path / "rules.yml"))
    theirs = {int(number): message for number, message in re.findall(r'"A(\d+)": annotation "t0": template: (.*)', said)}
    # Also within a message an action's place has the template's name.
    ours = {
        number: f"alert:{message}".replace("alert:", f"__alert_A{number}:") for number, (_, message) in enumerate(REFUSED)
    }
    assert theirs == ours


def texts_of_rule_files() -> list[str]:
    """Give every label and annotation of the shared rule files, each once."""
    texts: dict[str, None] = {}
    for path in RULE_FILES:
        for group in yaml.load(path.read_text(), yaml.CSafeLoader)["groups"] or ():
            for rule in group["rules"] or ():
                texts.update(dict.fromkeys((*rule.get("labels", {}).values(), *rule.get("annotations", {}).values())))
    return list(texts)


VALUES: Final = (0.0, 1.0, VALUE, 0.0425, 98.6, 1e9, -3.5, 86400.0)


@pytest.fixture(scope="module")
def public() -> tuple[list[str], dict[str, str]]:
    """Every template of the shared rule files, and a value for each label that they name."""
    texts = texts_of_rule_files()
    names = {name for text in texts for name in re.findall(r"\$labels\.(\w+)", text)}
    return texts, {name: f"some {name}-1:80" for name in sorted(names)}


@needs_rules
def test_all_templates_of_the_shared_rules_are_expanded(public: tuple[list[str], dict[str, str]]) -> None:
    texts, labels = public
    assert len(texts) > 1500
    assert not [text for text in expanded_here(texts, labels, VALUES) if "<error" in text]


@pytest.mark.external
@pytest.mark.real_time
@needs_rules
@with_promtool
def test_promtool_expands_the_shared_rules_to_the_same_texts(
    public: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    texts, labels = public
    assert expanded_by_promtool(tmp_path, texts, labels, VALUES) == expanded_here(texts, labels, VALUES)
