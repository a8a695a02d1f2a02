"""Function words by language, for the rule that running text has some. Languages without a list pass that rule.

English has the eight words of the Gopher paper. The others have words of the same kinds (articles, forms of
"to be" and "to have", prepositions, conjunctions), among the commonest of the language.
"""

STOP_WORDS: dict[str, tuple[str, ...]] = {
    "en": ("the", "be", "to", "of", "and", "that", "have", "with"),
    "ar": ("في", "من", "على", "أن", "إلى", "عن", "التي", "الذي", "هذا", "ما", "لا", "كان"),
    "bg": ("на", "и", "да", "се", "за", "от", "е", "не", "в", "с", "че", "са"),
    "bn": ("এই", "ও", "এবং", "থেকে", "করে", "একটি", "হয়", "না", "তার", "করা"),
    "ca": ("de", "la", "i", "el", "que", "a", "en", "els", "un", "per", "amb", "és"),
    "cs": ("a", "se", "na", "v", "je", "že", "s", "z", "to", "do", "o", "jako"),
    "da": ("og", "i", "at", "det", "er", "en", "til", "på", "af", "for", "med", "der"),
    "de": ("der", "die", "und", "in", "den", "das", "zu", "ist", "mit", "von", "nicht", "ein"),
    "el": ("και", "το", "να", "του", "η", "της", "με", "που", "την", "από", "για", "είναι"),
    "es": ("de", "la", "que", "el", "en", "y", "a", "los", "se", "del", "un", "con"),
    "et": ("ja", "on", "ei", "et", "kui", "see", "ka", "mis", "oli", "ning"),
    "fa": ("و", "در", "به", "از", "که", "این", "را", "با", "است", "برای"),
    "fi": ("ja", "on", "ei", "se", "että", "oli", "hän", "mutta", "ovat", "myös"),
    "fr": ("de", "la", "le", "et", "les", "des", "en", "un", "que", "est", "une", "pour"),
    "he": ("את", "של", "על", "לא", "הוא", "זה", "עם", "היא", "גם", "כי"),
    "hi": ("के", "में", "की", "है", "और", "से", "को", "का", "कि", "पर", "यह", "नहीं"),
    "hr": ("i", "u", "je", "se", "na", "da", "su", "za", "od", "a", "s", "koji"),
    "hu": ("a", "az", "és", "hogy", "nem", "is", "egy", "volt", "de", "meg"),
    "id": ("yang", "dan", "di", "dengan", "untuk", "dari", "ini", "itu", "pada", "tidak", "ke", "dalam"),
    "it": ("di", "e", "la", "il", "che", "in", "a", "un", "per", "è", "del", "non"),
    "ja": ("の", "に", "は", "を", "が", "と", "で", "も", "へ", "や"),
    "ko": ("이", "그", "수", "있는", "및", "것", "한", "등", "있다", "대한"),
    "lt": ("ir", "kad", "į", "su", "iš", "yra", "tai", "bet", "kaip", "buvo"),
    "lv": ("un", "ir", "ar", "no", "par", "kas", "uz", "ka", "tika", "bija"),
    "nl": ("de", "het", "een", "van", "en", "in", "is", "dat", "op", "te", "met", "niet"),
    "no": ("og", "i", "det", "er", "på", "en", "til", "som", "av", "for", "med", "ikke"),
    "pl": ("i", "w", "na", "z", "się", "do", "nie", "to", "jest", "że", "o", "jak"),
    "pt": ("de", "a", "o", "que", "e", "do", "da", "em", "um", "para", "com", "não"),
    "ro": ("și", "de", "în", "la", "a", "cu", "nu", "pe", "care", "este", "că", "din"),
    "ru": ("и", "в", "не", "на", "что", "с", "он", "как", "по", "к", "из", "это"),
    "sk": ("a", "sa", "na", "v", "je", "že", "s", "z", "to", "do", "ako", "si"),
    "sl": ("in", "je", "na", "da", "se", "za", "so", "ki", "v", "z", "pa", "ne"),
    "sr": ("и", "у", "је", "на", "се", "да", "за", "су", "од", "i", "u", "je"),
    "sv": ("och", "i", "att", "det", "är", "en", "som", "på", "för", "med", "av", "inte"),
    "ta": ("ஒரு", "மற்றும்", "இந்த", "என்று", "அவர்", "இது", "அந்த", "என", "உள்ள", "தான்"),
    "tr": ("ve", "bir", "bu", "da", "de", "için", "ile", "çok", "olan", "olarak", "gibi", "ne"),
    "uk": ("і", "в", "на", "не", "що", "з", "у", "до", "та", "як", "за", "це"),
    "ur": ("کے", "میں", "کی", "ہے", "اور", "سے", "کو", "کا", "نے", "کہ"),
    "vi": ("và", "của", "là", "có", "các", "cho", "được", "trong", "với", "không", "một", "những"),
    "zh": ("的", "了", "是", "在", "不", "我", "有", "他", "这", "和", "這", "也"),
}
# Languages written without spaces between words: a word is a piece of `pipeline.filter.words`.
UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "yue", "wuu", "lzh"})
# Thai has no list: its pieces are cut without a dictionary, so that function words are not found reliably.
