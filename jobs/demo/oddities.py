"""The pages of the demo site that are not documentation: spam, a rant, other languages, a calendar without end."""

import random
from html import escape

from jobs.demo.furniture import Link

SPAM_PAGES = 36
_PRODUCTS = (
    "slimming tea",
    "replica watches",
    "miracle keyboards",
    "lottery numbers",
    "instant loans",
    "lucky crystals",
)
_OPENERS = (
    "CONGRATULATIONS!!! You have been selected as today's winner of our exclusive {product} giveaway!!!",
    "Dear friend, act NOW and buy cheap {product} online, best price guaranteed, limited offer, click here!",
    "Make $5,000 every week from home with {product}, no risk, 100% free, no experience needed!!!",
    "FREE FREE FREE {product}, buy one and get three free, order today, this offer ends tonight!",
)
_MIDDLES = (
    "Buy {product} online today and get the best price on the whole internet, guaranteed or your money back.",
    "Click here to claim your free sample of {product} before the timer on this page runs out.",
    "Thousands of happy customers already earn cash with {product} while they sleep, and so can you.",
    "Call now or text WIN to the number below to claim your bonus, your cash prize is waiting for you!",
    "No credit card is required, satisfaction is guaranteed, and you can unsubscribe whenever you like.",
    "The secret that doctors do not want you to know about {product} is revealed on the next page.",
    "Hurry, only seven packs are left in stock, and ninety people are looking at this offer right now!",
    "Our {product} are one hundred percent natural, clinically proven, and loved by celebrities everywhere.",
    "Earn money from home in three easy steps, no experience needed, no boss, no risk, and no limits.",
    "You have won a voucher worth one thousand dollars, simply confirm your details to receive it.",
    "Cheap pills, cheap watches, cheap loans and cheap {product}, all in one trusted online shop.",
    "This weird trick makes {product} work ten times faster, and the results will shock you.",
    "Lose weight, win friends and get rich with our amazing {product}, results in seven days or less.",
    "Limited time offer: order two boxes of {product} and we will add a third box for free.",
    "Act fast, because this exclusive discount expires tonight and will never be offered again!",
    "Join our VIP club of winners now and receive a daily bonus straight to your bank account.",
    "Visit our casino partner, spin the lucky wheel and double your first deposit instantly.",
    "Bad credit is no problem, we approve every loan within minutes, apply online and get cash today.",
    "Best deals on {product} this season, huge savings, free shipping, and a gift with every order.",
    "Reply with your phone number and our friendly agents will transfer the prize money at once.",
)
_RANT = (
    "Honestly, whoever wrote this page is an idiot, and whoever approved it is an even bigger idiot.",
    "I read it twice and it is still garbage, complete and utter garbage, and you should be ashamed of yourselves.",
    "Only a moron would name a function like that, and only a bunch of clowns would keep it for twenty years.",
    "Shut up with your excuses, nobody cares what you losers think about backwards compatibility.",
    "You people are pathetic, your tutorial is stupid, and so is everybody who pretends to like it.",
    "Go away and never touch a keyboard again, you useless fools.",
    "The world would be better off without your damn code, and without your smug little jokes in the comments.",
    "I hate this library, I hate its ugly logo, and most of all I hate the arrogant jerks who maintain it.",
    "My cat writes better documentation than you dimwits, and she is dead.",
    "Every example is wrong, every link is broken, and every answer in your forum comes from some brainless parrot.",
    "If you had a shred of decency you would delete the whole rotten mess tonight and apologise.",
    "Seriously, get lost, you worthless bunch of amateurs.",
)
_FOREIGN = {
    "de": (
        "Willkommen im Regal",
        "Diese Seite ist für alle da, die lieber auf Deutsch lesen. Das Regal enthält die Beschreibungen der "
        "Bibliotheken, die auf diesem Rechner liegen, und es wird "
        "bei jedem Start neu aufgestellt. Wer eine Funktion sucht, beginnt am besten bei der Übersicht der Module und "
        "folgt dann den Verweisen am Rand. ",
        "Die Texte selbst sind auf Englisch geschrieben, weil ihre Verfasser es so gehalten haben. Wir haben nichts "
        "übersetzt, damit keine Fehler hineinkommen, die es im "
        "Original nicht gibt. Wenn Ihnen ein Abschnitt unklar bleibt, hilft oft ein Blick in die Beispiele, denn sie "
        "lassen sich unverändert ausprobieren. ",
        "Über Hinweise freuen wir uns sehr. Bitte schreiben Sie dazu, welche Seite Sie gelesen haben und was Sie dort "
        "erwartet hätten, dann können wir die Stelle schneller finden.",
    ),
    "fr": (
        "Bienvenue sur l'étagère",
        "Cette page s'adresse à celles et ceux qui préfèrent lire en français. L'étagère rassemble les descriptions "
        "des bibliothèques qui se trouvent sur cette machine, et "
        "elle est remise en ordre à chaque démarrage. Pour trouver une fonction, le plus simple est de commencer par "
        "la liste des modules, puis de suivre les liens. ",
        "Les textes eux-mêmes sont en anglais, parce que leurs auteurs les ont écrits ainsi. Nous n'avons rien "
        "traduit, afin de ne pas introduire des erreurs qui ne seraient "
        "pas dans l'original. Si un passage reste obscur, un coup d'œil aux exemples suffit souvent, car on peut les "
        "essayer tels quels. ",
        "Vos remarques sont les bienvenues. Merci d'indiquer la page que vous avez lue et ce que vous pensiez y "
        "trouver, nous pourrons ainsi corriger plus vite le passage.",
    ),
    "es": (
        "Bienvenidos a la estantería",
        "Esta página es para quienes prefieren leer en español. La estantería reúne las descripciones de las "
        "bibliotecas que hay en esta máquina y se vuelve a ordenar cada "
        "vez que se pone en marcha. Para encontrar una función, lo mejor es empezar por la lista de módulos y seguir "
        "después los enlaces de la barra lateral. ",
        "Los textos están en inglés porque así los escribieron sus autores. No hemos traducido nada para no añadir "
        "errores que no existen en el original. Si un apartado no "
        "queda claro, muchas veces basta con mirar los ejemplos, porque se pueden probar sin cambiar nada. ",
        "Agradecemos cualquier comentario. Díganos, por favor, qué página ha leído y qué esperaba encontrar en ella, "
        "porque así podremos localizar el problema mucho antes.",
    ),
}
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def spam_body(number: int) -> str:
    """One of the spam pages; each number has its own."""
    chance = random.Random(number)
    product = _PRODUCTS[number % len(_PRODUCTS)]
    lines = [chance.choice(_OPENERS), *chance.sample(_MIDDLES, 12)]
    text = "".join(f"<p>{escape(line.format(product=product))}</p>" for line in lines)
    return f"<h1>{escape(product.title())} deals number {number}</h1>{text}"


def spam_links(number: int) -> list[Link]:
    """A spam page links to others, as link farms do."""
    return [
        (f"/offers/{(number * 7 + step) % SPAM_PAGES}.html", f"cheap {_PRODUCTS[(number + step) % len(_PRODUCTS)]}")
        for step in range(1, 6)
    ]


def rant_body() -> str:
    """A reader's comment that is rude, and mild as such things go."""
    pairs = zip(_RANT[::2], _RANT[1::2], strict=True)
    paragraphs = "".join(f"<p>{escape(first)} {escape(second)}</p>" for first, second in pairs)
    return f"<h1>A reader writes</h1>{paragraphs}"


def foreign_languages() -> tuple[str, ...]:
    """The codes of the languages that have a page."""
    return tuple(_FOREIGN)


def foreign_title(language: str) -> str:
    """The title of the page in a language."""
    return _FOREIGN[language][0]


def foreign_body(language: str) -> str:
    """The page in a language."""
    title, *paragraphs = _FOREIGN[language]
    return f"<h1>{escape(title)}</h1>" + "".join(f"<p>{escape(paragraph.strip())}</p>" for paragraph in paragraphs)


def calendar_body(year: int, month: int) -> str:
    """A month of a calendar that has a next month and a previous one, always."""
    following, previous = (year + month // 12, month % 12 + 1), (year - (month == 1), (month - 2) % 12 + 1)
    days = "".join(f'<td><a href="/calendar/{year}/{month}/{day}/">{day}</a></td>' for day in range(1, 29))
    return (
        f"<h1>{_MONTHS[month - 1]} {year}</h1><table><tr>{days}</tr></table><p>No events are planned for this "
        "month.</p>"
        f'<a href="/calendar/{following[0]}/{following[1]}/">Next month</a> <a '
        f'href="/calendar/{previous[0]}/{previous[1]}/">Previous month</a>'
    )
