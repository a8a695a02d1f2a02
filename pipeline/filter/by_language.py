"""Thresholds for documents in other languages than English, as the data set FineWeb-2 was made with.

The numbers of Gopher and FineWeb fit English: a mean word of three letters and more, full stops at the ends of lines, four words of
five with a letter. FineWeb-2 (Penedo et al. 2025) measured each language and moved the thresholds; those here are the last that
its repository holds. Thai, Lao, Khmer, Burmese, Tibetan and German need no full stops there. Its words come from a tokenizer for
each language, ours of scripts without spaces are pieces, so there n-gram shares are near, not equal, and the share of words with a
letter keeps the .8 of Gopher where FineWeb-2 asks for more (Thai, Lao, Khmer, Tibetan).

A document's measure `threshold_language` says which row holds for it, so that stored measures can be replayed.
"""

from collections.abc import Mapping

_COLUMNS: tuple[tuple[str, str], ...] = (
    ("terminal_line_share", "<"),
    ("newline_word_ratio", ">"),
    ("word_length", ">"),
    ("word_length", "<"),
    ("alpha_word_share", "<"),
    ("dup_line_share", ">"),
    *((f"top_{n}_gram_share", ">") for n in (2, 3, 4)),
    *((f"dup_{n}_gram_share", ">") for n in range(5, 11)),
)
# New languages go to the end: the number of a row is stored.
_ROWS = """
    ar  .143  .189   9  2  .787  .304  .197  .172  .146  .165  .153  .142  .131  .120  .109
    bn  .125  .171  24  3  .800  .203  .177  .158  .147  .118  .108  .099  .090  .082  .073
    bo  .000  .417  23  1  .800  .261  .206  .205  .175  .174  .153  .140  .129  .115  .102
    cs  .060  .182  11  3  .781  .311  .206  .183  .165  .168  .157  .145  .133  .121  .109
    de  .000  .152  15  0  .774  .263  .169  .153  .137  .141  .134  .126  .117  .108  .098
    el  .167  .116  11  3  .809  .310  .194  .175  .156  .174  .163  .153  .142  .130  .119
    es  .182  .138  14  3  .825  .252  .156  .140  .125  .145  .136  .127  .117  .108  .099
    fa  .200  .150   9  2  .812  .246  .189  .164  .143  .157  .147  .137  .127  .117  .107
    fi  .114  .161  14  3  .755  .293  .253  .202  .179  .153  .143  .133  .122  .112  .101
    fr  .100  .185  11  2  .812  .264  .161  .149  .134  .150  .141  .131  .121  .111  .100
    he  .200  .126   9  2  .799  .340  .239  .202  .173  .160  .151  .140  .129  .118  .108
    hi  .091  .316  21  2  .837  .206  .208  .198  .161  .135  .125  .116  .108  .099  .090
    hu  .067  .231  15  3  .766  .322  .226  .198  .172  .169  .159  .148  .136  .124  .112
    id  .111  .157  12  3  .805  .241  .194  .166  .145  .166  .155  .144  .133  .122  .111
    it  .025  .200  21  3  .807  .246  .198  .156  .133  .144  .136  .127  .118  .109  .100
    ja  .096  .130   6  1  .759  .328  .239  .196  .172  .243  .225  .207  .190  .175  .159
    km  .000  .361  13  2  .800  .917  .594  .523  .438  .175  .160  .148  .135  .121  .109
    ko  .062  .196   6  1  .791  .374  .282  .228  .185  .201  .184  .168  .154  .140  .127
    lo  .000  .200   9  2  .800  .327  .198  .175  .143  .187  .175  .163  .149  .135  .123
    my  .000  .070  21  2  .750  .278  .161  .152  .133  .167  .155  .145  .134  .124  .113
    nl  .102  .154  17  3  .828  .296  .213  .182  .158  .156  .146  .136  .126  .115  .104
    pl  .087  .158  12  3  .726  .320  .222  .198  .176  .172  .160  .148  .136  .123  .111
    pt  .077  .186  13  3  .814  .287  .371  .191  .163  .163  .153  .141  .130  .119  .108
    ro  .081  .207  14  1  .779  .289  .161  .146  .131  .160  .149  .138  .127  .117  .106
    ru  .231  .139  11  3  .713  .322  .184  .164  .146  .168  .156  .145  .133  .121  .109
    sv  .200  .135  12  3  .841  .292  .242  .195  .174  .156  .147  .136  .125  .116  .105
    ta  .125  .195  37  4  .779  .276  .230  .212  .190  .149  .140  .132  .123  .114  .104
    th  .000  .153  10  2  .800  .349  .221  .197  .162  .185  .168  .152  .137  .124  .111
    uk  .167  .175  11  3  .694  .300  .189  .172  .153  .160  .148  .136  .124  .113  .102
    vi  .333  .103  11  3  .803  .293  .223  .197  .171  .178  .163  .150  .136  .124  .111
    zh  .106  .178   5  1  .735  .287  .256  .201  .171  .198  .182  .167  .154  .140  .127
"""

Limits = Mapping[tuple[str, str], float]
_CELLS = [line.split() for line in _ROWS.strip().splitlines()]
_NUMBERS: Mapping[str, int] = {cells[0]: number for number, cells in enumerate(_CELLS, start=1)}
_LIMITS: tuple[Limits, ...] = ({}, *(dict(zip(_COLUMNS, map(float, cells[1:]), strict=True)) for cells in _CELLS))


def language_number(language: str) -> int:
    """The row of a language, 0 where the settings hold."""
    return _NUMBERS.get(language, 0)


def limits_of(number: float | None) -> Limits:
    """The thresholds of a row by measure and side; none where the settings hold."""
    return _LIMITS[int(number)] if number and number < len(_LIMITS) else {}
