"""Sentences made by patterns: what people do in a picture, headlines, advice. Their words are WordNet's, those that an encoder's vocabulary has whole.

Used by sentence_texts.py. The patterns are ours; no text of any data set went into them.
"""

import random
import re

# Lexicographer files of WordNet.
NOUNS = {"animal": 5, "thing": 6, "event": 4, "food": 13, "group": 14, "place": 15, "person": 18}
VERBS = {"moving": 38, "touching": 35, "making": 36, "eating": 34, "seeing": 39, "saying": 32, "fighting": 33, "having": 40}
COLOURS = "black white brown red blue green yellow grey orange pink golden dark".split()
KINDS = "young old small large tall little big thin tired happy lonely wet dirty pretty blond elderly".split()
PLACES = (
    "in the park;on the beach;in a kitchen;on the street;near a river;in the snow;on a bench;at a table;in front of a house;on stage;in a field;"
    "by the water;through the woods;in a crowd;on the grass;at night;in the rain;on a couch;next to a car;under a tree;in a boat;on a hill;"
    "along the road;inside a store;beside a lake;in the air;on the floor;at the station;across the yard;over a fence"
).split(";")
COUNTRIES = (
    "France Germany Russia China Japan India Iran Israel Egypt Turkey Brazil Mexico Canada Spain Italy Greece Pakistan Korea Ukraine Poland Kenya "
    "Nigeria Thailand Australia Britain Sweden Norway Chile Cuba Iraq Yemen Libya Sudan Vietnam Indonesia"
).split()
CITIES = "London Paris Moscow Tokyo Berlin Cairo Delhi Boston Chicago Rome Madrid Sydney Dublin Toronto Houston Athens Seattle Vienna".split()
WHO = (
    "police;the president;the government;the court;officials;the minister;rebels;the army;protesters;the company;the bank;the union;scientists;"
    "the opposition;lawmakers;the mayor;a judge;the agency;troops;investigators;the party;doctors;the airline;analysts;the club;voters"
).split(";")
ACTS = (
    "reject;approve;delay;cut;raise;condemn;support;end;begin;demand;block;investigate;win;lose;join;leave;attack;defend;close;open;sell;buy;cancel;"
    "expect;fear;promise;review;extend;announce;plan"
).split(";")
MATTERS = (
    "peace talks;new sanctions;a ceasefire;tax cuts;the budget;a merger;the election;a trade deal;job losses;the strike;arms sales;higher prices;"
    "a nuclear plan;the vote;the verdict;oil exports;a bailout;the summit;border controls;the reform;a rescue;the inquiry;flights;the law;the claim"
).split(";")
EVENTS = "bomb attack;bus crash;earthquake;flood;fire;shooting;plane crash;storm;protest;clash;explosion;train accident;landslide;raid".split(";")
SHARES = "shares;stocks;profits;sales;oil prices;exports;the dollar;gold;house prices;earnings".split(";")
ADVICE = (
    "You should probably {verb} the {thing} first.;I would not {verb} it without a {thing}.;It depends on the {thing} and on how you {verb} it.;"
    "You can {verb} a {thing}, but it takes time.;I think the {person} was right about the {thing}.;There is no reason to {verb} every {thing}.;"
    "What is the best way to {verb} a {thing}?;How do I {verb} my {thing} with a {thing2}?;Is it safe to {verb} {food} every day?;"
    "I had the same problem with my {thing} last year.;The short answer is that a {thing} does not need a {thing2}.;"
    "If you want to {verb}, ask a {person} before you do.;Can a {person} {verb} a {thing} alone?;My {animal} does not like the new {thing}.;"
    "Try to {verb} it slowly, or the {thing} will break.;Why does my {animal} {verb} the {thing} all the time?;"
    "A good {person} knows when to {verb} and when to stop.;It is not clear to me what a {thing} has to do with a {thing2}."
).split(";")  # fmt: skip


class Words:
    """Lemmas by the lexicographer file of their first sense: single words of the vocabulary that WordNet's tagged texts have."""

    def __init__(self, folder, vocabulary):
        self.of = {}
        for part, files in ("noun", NOUNS), ("verb", VERBS):
            names = {number: name for name, number in files.items()}
            data = [line.split(" ", 2) for line in (folder / f"data.{part}").read_text().splitlines() if not line.startswith("  ")]
            file_of = {offset: int(number) for offset, number, _ in data}
            for line in (folder / f"index.{part}").read_text().splitlines():
                fields = line.split()
                if line.startswith("  ") or fields[0] not in vocabulary or not fields[0].isalpha() or len(fields[0]) < 3:
                    continue
                pointers = int(fields[3])
                tagged, first = int(fields[5 + pointers]), fields[6 + pointers]
                if tagged > 0 and file_of[first] in names:
                    self.of.setdefault(names[file_of[first]], []).append(fields[0])

    def __getitem__(self, name):
        return random.choice(self.of[name])


def third(verb):
    if re.search(r"(s|x|z|ch|sh|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def running(verb):
    if re.search(r"[^eoy]e$", verb):
        return verb[:-1] + "ing"
    return verb + (verb[-1] if re.search(r"^[^aeiou]*[aeiou][bdgmnprt]$", verb) else "") + "ing"


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def subject(words):
    """Who is in the picture, and whether it is one."""
    kind, colour = random.choice(KINDS), random.choice(COLOURS)
    people = random.choice("man;woman;boy;girl;child;person".split(";")) if random.random() < 0.6 else words["person"]
    animal = random.choice("dog;cat;horse;bird;cow;sheep".split(";")) if random.random() < 0.5 else words["animal"]
    return random.choice([
        (article(people), True), (article(f"{kind} {people}"), True), (article(animal), True), (article(f"{colour} {animal}"), True),
        (f"two {third(people)}" if people[-2:] != "an" else f"two {people[:-2]}en", False), ("a group of people", False),
        (f"{article(people)} in a {colour} {random.choice('shirt hat dress jacket coat'.split())}", True),
    ])  # fmt: skip


def scene(words):
    who, one = subject(words)
    verb = words[random.choice(["moving", "moving", "touching", "making", "eating", "seeing", "fighting"])]
    thing = words[random.choice(["thing", "thing", "food", "animal"])]
    what = random.choice(["", article(thing), f"the {thing}", article(f"{random.choice(COLOURS)} {thing}")])
    place = random.choice(PLACES) if not what or random.random() < 0.5 else ""
    form = random.random()
    if form < 0.7:
        words_ = [who, "is" if one else "are", running(verb), what, place]
    elif form < 0.85:
        words_ = [who, running(verb), what, place]
    else:
        other, _ = subject(words)
        words_ = [who, random.choice(["and", "with", "next to", "behind"]), other, random.choice(PLACES)]
    text = " ".join(word for word in words_ if word)
    return text[0].upper() + text[1:] + random.choice([".", ".", ""])


def headline(words):
    country, city, who = random.choice(COUNTRIES), random.choice(CITIES), random.choice(WHO)
    act, matter, other = random.choice(ACTS), random.choice(MATTERS), random.choice(WHO)
    number, event = random.choice([3, 5, 7, 12, 20, 30, 46, 100, 250]), random.choice(EVENTS)
    return random.choice([
        f"{country} {third(act)} {matter}", f"{country} {who.split()[-1]} to {act} {matter}",
        f"{number} killed in {country} {event}", f"{event.capitalize()} in {city} kills {number}, injures dozens",
        f"{country}: {who} {act} {matter} after {event}", f"{random.choice(SHARES).capitalize()} {random.choice(['rise', 'fall', 'climb', 'slip'])} "
        f"{number} percent as {country} {third(act)} {matter}", f"{who.capitalize()} said on Tuesday that {country} would {act} {matter}.",
        f"{who.capitalize()} did not {act} {matter}, {other} said.", f"A {words['person']} in {city} was arrested after the {event}.",
        f"At least {number} people were hurt in the {event} near {city}.", f"{city} {words['person']} {third(act)} {matter} over the {words['event']}",
        f"{who.capitalize()} and {other} met in {city} to discuss {matter}.", f"{country} and {random.choice(COUNTRIES)} {act} {matter}",
    ])  # fmt: skip


def advice(words):
    verb = words[random.choice(["touching", "making", "moving", "having", "seeing"])]
    return random.choice(ADVICE).format(
        verb=verb, thing=words["thing"], thing2=words["thing"], person=words["person"], food=words["food"], animal=words["animal"])


def made(folder, vocabulary, limits):
    """So many texts of each kind, none twice."""
    random.seed(2)
    words = Words(folder, vocabulary)
    for kind, make in ("scenes", scene), ("headlines", headline), ("advice", advice):
        texts = set()
        while len(texts) < limits[kind]:
            texts.add(make(words))
        yield kind, sorted(texts)
