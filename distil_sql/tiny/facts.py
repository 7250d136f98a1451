"""The word lists that tiny's corpus is composed from. Used by skills.py and reviews.py; holds data, no logic.

Every list is short on purpose: a model of two million parameters knows a few hundred facts well or thousands badly.
"""

from __future__ import annotations


def _pairs(text: str) -> dict[str, str]:
    """Read ``a:b, c:d`` into a dict; an underscore stands for a space."""
    return dict(p.strip().replace("_", " ").split(":", 1) for p in text.split(","))


def _words(text: str) -> list[str]:
    return text.split()


CAPITALS = _pairs(
    """
    France:Paris, Germany:Berlin, Italy:Rome, Spain:Madrid, Portugal:Lisbon, Japan:Tokyo, China:Beijing,
    India:New_Delhi, Egypt:Cairo, Kenya:Nairobi, Peru:Lima, Chile:Santiago, Canada:Ottawa, Norway:Oslo,
    Sweden:Stockholm, Finland:Helsinki, Denmark:Copenhagen, Greece:Athens, Turkey:Ankara, Cuba:Havana,
    Poland:Warsaw, Austria:Vienna, Hungary:Budapest, Ireland:Dublin, England:London, Belgium:Brussels,
    Russia:Moscow, Ukraine:Kyiv, Brazil:Brasilia, Argentina:Buenos_Aires, Australia:Canberra, Thailand:Bangkok,
    Vietnam:Hanoi, Iceland:Reykjavik, Mexico:Mexico_City, Nepal:Kathmandu, Colombia:Bogota, Switzerland:Bern,
    Netherlands:Amsterdam, Morocco:Rabat, Iran:Tehran, Iraq:Baghdad, Indonesia:Jakarta, Scotland:Edinburgh,
    Croatia:Zagreb
    """
)

CATEGORIES = {
    "fruit": _words("apple banana pear grape cherry mango lemon peach plum orange kiwi melon"),
    "vegetable": _words("carrot potato onion cabbage spinach pea cucumber pumpkin leek radish"),
    "animal": _words("dog cat horse cow sheep lion tiger wolf bear rabbit monkey elephant"),
    "bird": _words("eagle owl parrot duck crow swan penguin robin"),
    "color": _words("red blue green yellow purple white black brown pink gray"),
    "tool": _words("hammer saw drill wrench knife shovel axe rake"),
    "vehicle": _words("car bus train bike truck boat plane tram ship van"),
    "sport": _words("football tennis hockey golf swimming boxing skiing rugby"),
    "country": _words("France Germany Italy Spain Japan China Egypt Canada Norway Brazil"),
    "instrument": _words("piano guitar violin flute drum trumpet harp cello"),
}

PLURAL_CATEGORIES = {c: ("countries" if c == "country" else c + "s") for c in CATEGORIES}

OPPOSITES = _pairs(
    """
    hot:cold, big:small, tall:short, fast:slow, happy:sad, old:young, light:dark, up:down, open:closed, rich:poor,
    good:bad, hard:soft, wet:dry, full:empty, early:late, strong:weak, clean:dirty, near:far, thick:thin,
    loud:quiet, day:night, left:right, love:hate, begin:end, win:lose, buy:sell, true:false, deep:shallow, high:low,
    inside:outside, always:never, first:last, front:back, easy:difficult, safe:dangerous, sweet:sour, wide:narrow,
    push:pull, yes:no, alive:dead, cheap:expensive
    """
)

PLURALS = _pairs(
    """
    cat:cats, dog:dogs, book:books, car:cars, tree:trees, house:houses, apple:apples, table:tables, bird:birds,
    friend:friends, box:boxes, bus:buses, glass:glasses, dish:dishes, watch:watches, fox:foxes, church:churches,
    city:cities, baby:babies, story:stories, party:parties, lady:ladies, leaf:leaves, wolf:wolves, knife:knives,
    life:lives, wife:wives, child:children, man:men, woman:women, foot:feet, tooth:teeth, mouse:mice, goose:geese,
    person:people, sheep:sheep, fish:fish, potato:potatoes, tomato:tomatoes, hero:heroes, key:keys, boy:boys,
    day:days, ox:oxen
    """
)

PASTS = _pairs(
    """
    go:went, eat:ate, see:saw, run:ran, write:wrote, read:read, take:took, give:gave, make:made, come:came,
    drink:drank, sing:sang, swim:swam, buy:bought, think:thought, bring:brought, catch:caught, teach:taught,
    sleep:slept, leave:left, speak:spoke, break:broke, drive:drove, fly:flew, know:knew, grow:grew, sit:sat,
    win:won, find:found, tell:told, walk:walked, play:played, work:worked, talk:talked, jump:jumped, help:helped,
    open:opened, look:looked, stop:stopped, study:studied, cook:cooked, love:loved
    """
)

COMPARATIVES = _pairs(
    """
    big:bigger, small:smaller, tall:taller, short:shorter, fast:faster, slow:slower, old:older, young:younger,
    happy:happier, easy:easier, good:better, bad:worse, hot:hotter, cold:colder, strong:stronger, weak:weaker,
    rich:richer, cheap:cheaper, heavy:heavier, light:lighter, long:longer, high:higher, deep:deeper, clean:cleaner,
    nice:nicer
    """
)

TRANSLATIONS = {
    "French": _pairs(
        """
        dog:chien, cat:chat, house:maison, water:eau, bread:pain, red:rouge, blue:bleu, green:vert, book:livre,
        sun:soleil, moon:lune, tree:arbre, milk:lait, car:voiture, school:école, apple:pomme, cheese:fromage,
        horse:cheval, fish:poisson, night:nuit, friend:ami, mother:mère, father:père, hello:bonjour,
        thank_you:merci, white:blanc, black:noir, bird:oiseau
        """
    ),
    "Spanish": _pairs(
        """
        dog:perro, cat:gato, house:casa, water:agua, bread:pan, red:rojo, blue:azul, green:verde, book:libro,
        sun:sol, moon:luna, tree:árbol, milk:leche, car:coche, school:escuela, apple:manzana, cheese:queso,
        horse:caballo, fish:pescado, night:noche, friend:amigo, mother:madre, father:padre, hello:hola,
        thank_you:gracias, white:blanco, black:negro, bird:pájaro
        """
    ),
    "German": _pairs(
        """
        dog:Hund, cat:Katze, house:Haus, water:Wasser, bread:Brot, red:rot, blue:blau, green:grün, book:Buch,
        sun:Sonne, moon:Mond, tree:Baum, milk:Milch, car:Auto, school:Schule, apple:Apfel, cheese:Käse, horse:Pferd,
        fish:Fisch, night:Nacht, friend:Freund, mother:Mutter, father:Vater, hello:hallo, thank_you:danke,
        white:weiß, black:schwarz, bird:Vogel
        """
    ),
}

COLORS = _pairs(
    """
    the_sky:blue, grass:green, snow:white, a_banana:yellow, blood:red, coal:black, milk:white, the_sun:yellow,
    a_lemon:yellow, a_carrot:orange, chocolate:brown, a_strawberry:red, a_tomato:red, a_leaf:green,
    an_elephant:gray, a_flamingo:pink, a_frog:green, a_cucumber:green, the_sea:blue, a_pumpkin:orange, coffee:brown,
    a_polar_bear:white, a_crow:black, a_cherry:red, salt:white, a_fire_truck:red, spinach:green, a_pig:pink
    """
)

SOUNDS = _pairs(
    """
    dog:woof, cat:meow, cow:moo, duck:quack, sheep:baa, pig:oink, lion:roar, horse:neigh, bee:buzz, owl:hoot,
    frog:croak, snake:hiss, rooster:cock-a-doodle-doo, mouse:squeak, wolf:howl
    """
)

BABIES = _pairs(
    """
    dog:puppy, cat:kitten, cow:calf, horse:foal, sheep:lamb, pig:piglet, duck:duckling, lion:cub, bear:cub,
    goat:kid, chicken:chick, frog:tadpole, kangaroo:joey, goose:gosling, deer:fawn
    """
)

JOBS = _pairs(
    """
    teacher:teaches_students, doctor:treats_sick_people, baker:bakes_bread, driver:drives_a_car, farmer:grows_food,
    nurse:cares_for_patients, pilot:flies_planes, lawyer:gives_legal_advice, singer:sings_songs,
    cook:prepares_meals, painter:paints_pictures, writer:writes_books, dentist:looks_after_teeth,
    gardener:takes_care_of_plants, firefighter:puts_out_fires, tailor:makes_clothes, plumber:repairs_pipes,
    judge:decides_cases_in_court
    """
)

USES = _pairs(
    """
    hammer:hit_nails, saw:cut_wood, pen:write, spoon:eat_soup, umbrella:stay_dry_in_the_rain, key:open_a_door,
    broom:sweep_the_floor, oven:bake_food, phone:call_people, clock:tell_the_time, camera:take_photos,
    knife:cut_food, bed:sleep, cup:drink_tea, fridge:keep_food_cold, scissors:cut_paper, soap:wash_your_hands,
    lamp:light_a_room
    """
)

NUMBER_FACTS = _pairs(
    """
    days_are_in_a_week:7, months_are_in_a_year:12, hours_are_in_a_day:24, minutes_are_in_an_hour:60,
    seconds_are_in_a_minute:60, legs_does_a_dog_have:4, legs_does_a_spider_have:8, legs_does_an_ant_have:6,
    legs_does_a_bird_have:2, wheels_does_a_car_have:4, wheels_does_a_bike_have:2, sides_does_a_triangle_have:3,
    sides_does_a_square_have:4, sides_does_a_hexagon_have:6, fingers_are_on_one_hand:5,
    letters_are_in_the_alphabet:26, days_are_in_January:31, days_are_in_April:30, weeks_are_in_a_year:52,
    eyes_does_a_cat_have:2, arms_does_an_octopus_have:8, cents_are_in_a_dollar:100,
    players_are_in_a_football_team:11, continents_are_there:7, planets_are_in_the_solar_system:8
    """
)

DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words("January February March April May June July August September October November December")
ORDINALS = _words("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
COUNTS = {2: "two", 3: "three", 4: "four"}

NAMES = _words(
    """
    Anna Bob Carla David Emma Frank Grace Henry Irene Jack Kate Liam Maria Noah Olga Peter Rosa Sam Tina Victor
    Alice Ben Clara Daniel Eva Fred Hannah Ivan Julia Karl Laura Mark Nina Oscar Paul Ruth Simon Tom Vera Will Zoe
    Lucy Max Sara
    """
)

SENTENCES = {  # by kind of noun: what a sentence about it may say, and the nouns
    "animal": (
        [
            "The {x} runs across the field.",
            "A {x} is sleeping under a tree.",
            "The {x} is looking for food.",
            "We saw a {x} on our way home.",
        ],
        _words("dog cat horse cow lion tiger wolf bear rabbit monkey fox bird mouse"),
    ),
    "food": (
        ["I eat {x} every morning.", "The {x} tastes very good.", "She bought some {x} at the market."],
        _words("bread cheese soup rice pizza cake fish pasta chocolate fruit salad"),
    ),
    "place": (
        ["We walked to the {x} yesterday.", "The {x} is beautiful in spring.", "Many people visit the {x} on Sunday."],
        _words("park beach city river forest garden museum school library market mountain"),
    ),
    "thing": (
        ["The {x} is on the table.", "I bought a new {x} today.", "Her {x} is old but it still works."],
        _words("book car phone chair lamp clock bike computer camera guitar piano bag"),
    ),
    "weather": (
        ["The {x} was very strong last night.", "Children love the {x}.", "After the {x} we went outside."],
        _words("rain snow wind storm sun"),
    ),
}

TOPICS = {
    "sports": [
        "The team won the match {t}.",
        "She scored two goals {t}.",
        "He ran a marathon {t}.",
        "The tennis final was played {t}.",
        "Our coach praised the players {t}.",
        "The swimmer broke a record {t}.",
    ],
    "food": [
        "We cooked pasta with tomatoes {t}.",
        "The soup was served with bread {t}.",
        "They baked a chocolate cake {t}.",
        "The restaurant has a new menu {t}.",
        "I made a salad for lunch {t}.",
        "The chef prepared fish {t}.",
    ],
    "weather": [
        "It rained a lot {t}.",
        "Heavy snow fell {t}.",
        "The sun was shining {t}.",
        "A strong wind blew {t}.",
        "The temperature dropped {t}.",
        "A storm reached the coast {t}.",
    ],
    "travel": [
        "We took a train to Rome {t}.",
        "Her flight to Tokyo left {t}.",
        "They booked a hotel by the sea {t}.",
        "He packed his suitcase {t}.",
        "The tourists visited the museum {t}.",
        "I crossed the border {t}.",
    ],
    "technology": [
        "The new phone was released {t}.",
        "She fixed a bug in the program {t}.",
        "The computer crashed {t}.",
        "They installed a faster server {t}.",
        "The robot learned to walk {t}.",
        "He updated the software {t}.",
    ],
    "health": [
        "The doctor gave him medicine {t}.",
        "She had a headache {t}.",
        "The nurse checked the patient {t}.",
        "He broke his arm {t}.",
        "They opened a new hospital {t}.",
        "I had a fever {t}.",
    ],
}
TIMES = [
    "yesterday",
    "last night",
    "on Monday",
    "on Friday",
    "this morning",
    "last week",
    "in May",
    "again",
    "today",
    "in the evening",
]

GREETINGS = {
    "Hello!": "Hello! How can I help you?",
    "Hi there.": "Hello! How can I help you?",
    "Good morning!": "Good morning! How can I help you?",
    "Good evening.": "Good evening! How can I help you?",
    "How are you?": "I am fine, thank you. How are you?",
    "How are you today?": "I am fine, thank you. How are you?",
    "Thank you!": "You are welcome.",
    "Thanks for your help.": "You are welcome.",
    "Goodbye!": "Goodbye! Have a nice day.",
    "See you later.": "Goodbye! Have a nice day.",
    "Who are you?": "I am tiny, a very small language model.",
    "What is your name?": "My name is tiny. I am a very small language model.",
    "What can you do?": "I can answer short questions about words, numbers and simple facts.",
    "Are you a human?": "No, I am tiny, a very small language model.",
    "Tell me a joke.": "Why did the chicken cross the road? To get to the other side.",
    "Hello, who are you?": "I am tiny, a very small language model.",
}
