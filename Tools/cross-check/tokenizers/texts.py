"""Seeded texts that tokenizers find hard, and lines of given files."""

import gzip
import random

RANGES = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F),
    (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x2100, 0x214F), (0x2460, 0x24FF),
    (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF),
    (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0x20000, 0x2A6DF),
    (0xE0020, 0xE007F), (0xE000, 0xF8FF), (0x0, 0x1F), (0x7F, 0x9F),
]
BLANKS = " \t\n\r\v\f\u00a0\u1680\u2000\u2003\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\u2581\u0085\u200d\u200e\u00ad"
WORDS = ("the of and to in I'm you're they'LL don't DON'T it's 'S can't Straße naïve façade coöperate Ὀδυσσεύς İstanbul ſtraße ǅ ŉ "
         "ﬁne ﬂow １２３ ① ½ Ⅷ x² H₂O สวัสดีครับ ภาษาไทย مرحبا السلام עברית हिन्दी বাংলা 日本語 中文字符 한국어 조선말 これは カタカナ ｶﾀｶﾅ "
         "👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 e\u0301 a\u030a\u0323 ơ\u0301 q\u0307\u0323 \u1e9b\u0323 Å Ω ℌ ㍿ ㎏ ﷺ <s> </s> <unk> [CLS] [MASK] <mask> <|endoftext|> <pad> "
         "def return foo_bar(x, y): for(i=0;i<n;++i){ a[i]*=2; } </div> <a href=\"#\"> #include 0x1F 3.14159 1,000,000 1e-9 "
         "http://example.com/a?b=c&d=e user@example.org C:\\dir\\file ~/.bashrc $HOME @user #tag -- ... !!! ??? —–‘’“”„«» 123456789 00 007").split()


def scalar(rng):
    low, high = rng.choice(RANGES)
    return chr(rng.randint(low, high))


def hard(rng):
    """One text of a random kind."""
    kind = rng.randrange(12)
    if kind == 0:
        return "".join(scalar(rng) for _ in range(rng.randint(1, 60)))
    if kind == 1:  # Zalgo
        return "".join(c + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(0, 6))) for c in rng.choice(WORDS))
    if kind == 2:
        return rng.choice(BLANKS + "abx1.é🦙").join([""] * rng.randint(1, 30))
    if kind == 3:
        return "".join(rng.choice(BLANKS) for _ in range(rng.randint(1, 20))) + rng.choice(WORDS)
    if kind == 4:
        return "".join(chr(rng.randint(32, 126)) for _ in range(rng.randint(1, 80)))
    if kind == 5:
        low, high = rng.choice(RANGES)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 30)))
    if kind == 6:
        return rng.choice(WORDS) * rng.randint(1, 12)
    parts = []
    for _ in range(rng.randint(1, 14)):
        word = rng.choice(WORDS)
        change = rng.randrange(8)
        word = word.upper() if change == 0 else word.title() if change == 1 else word + scalar(rng) if change == 2 else word
        parts.append(word)
        parts.append(rng.choice([" ", " ", " ", "  ", "", "\n", "\n\n", rng.choice(BLANKS), ", ", ". "]))
    return "".join(parts)


def valid(text):
    """Without lone surrogates, and without the byte that separates texts."""
    return text.encode("utf-8", "replace").decode("utf-8", "replace")


def texts(seed, count):
    rng = random.Random(seed)
    return [valid(hard(rng)) for _ in range(count)]


def lines(paths, limit):
    found = []
    for path in paths:
        raw = gzip.open(path).read() if path.endswith(".gz") else open(path, "rb").read()
        found += raw.decode("utf-8", "replace").splitlines(keepends=True)
    random.Random(1).shuffle(found)
    return found[:limit]
