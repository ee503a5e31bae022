package userside

import "testing"

func TestPlainText(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "Main street 5", "Main street 5"},
		{"entities", "&quot;a&quot; &#047; b &amp; c", `"a" / b & c`},
		{"escaped twice", "Tom &amp;amp; Jerry &amp;quot;x&amp;quot;", `Tom & Jerry "x"`},
		{"escaped three times: one level is kept", "&amp;amp;amp;", "&amp;"},
		{"escaped comparison stays", "if x&lt;y and z&gt;5", "if x<y and z>5"},
		{"escaped tag stays text", "&lt;b&gt;bold&lt;/b&gt;", "<b>bold</b>"},
		{"loose signs", "2 < 3 & 4 > 1", "2 < 3 & 4 > 1"},
		{"br", "a<br>b<br/>c<BR />d", "a\nb\nc\nd"},
		{"nl2br", "a<br />\nb<br />\r\nc", "a\nb\nc"},
		{"escaped br", "a&lt;br /&gt;\nb&amp;lt;br&amp;gt;c", "a\nb\nc"},
		{"escaped paragraphs", "&lt;p&gt;a&lt;/p&gt;&lt;p&gt;b&lt;/p&gt;", "a\n\nb"},
		{"blocks", "<p>a</p><div>b<ul><li>c</li><li>d</li></ul></div>e", "a\nb\nc\nd\ne"},
		{"inline tags", `a <b>bold</b> <a href="https://x.example/?k=v">link</a><!-- note --> z`, "a bold link z"},
		{"script and style", "a<script>var x = '<b>1</b>';</script>b<style>p{}</style>c", "abc"},
		{"script that closes itself", "a<script/>b</script>c", "ac"},
		{"control characters", "a\x00b\x07c\x1b[1m\u202e\u2066\ufeff", "abc[1m"},
		{"escaped control characters", "a&#7;b&#x202e;c", "abc"},
		{"white space", "  a\u00a0b\t c&nbsp;\r\n\r\n\r\n\r\nd  \n", "a b  c\n\nd"},
		{"invalid UTF-8", "a\xffb", "a\uFFFDb"},
		{"windows-1251 is not guessed", "\xcf\xf0", "\uFFFD"},
		{"empty", " <br> ", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := plainText(tc.in); got != tc.want {
				t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
			}
		})
	}
	if got := plainLine("a<br>b \n c"); got != "a b c" {
		t.Errorf("plainLine: %q", got)
	}
}
