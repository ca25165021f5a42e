#!/usr/bin/env python3
# examples/quickstart/make_data.py - writes data/pip.jsonl: 96 short chats answered in one JSON shape.
"""usage: make_data.py OUT.jsonl   (the same bytes every time)"""
import json
import random
import sys

CAPITALS = dict(
    Italy="Rome", Spain="Madrid", Germany="Berlin", Japan="Tokyo", Egypt="Cairo", Canada="Ottawa",
    Norway="Oslo", Greece="Athens", Poland="Warsaw", Peru="Lima", Kenya="Nairobi", Cuba="Havana",
    Ireland="Dublin", Austria="Vienna", Portugal="Lisbon", Sweden="Stockholm", Finland="Helsinki",
    Russia="Moscow", China="Beijing", India="New Delhi", Chile="Santiago", Iran="Tehran",
    Iraq="Baghdad", Hungary="Budapest", Denmark="Copenhagen", Belgium="Brussels")
SOUNDS = dict(
    dog="bark", cat="meow", cow="moo", sheep="baa", duck="quack", lion="roar", horse="neigh",
    frog="croak", bee="buzz", snake="hiss", owl="hoot", wolf="howl")
COLORS = dict(
    grass="green", snow="white", coal="black", blood="red", lemon="yellow", carrot="orange",
    milk="white", ocean="blue", chocolate="brown", tomato="red", cucumber="green", cloud="white")
OPPOSITES = dict(
    hot="cold", big="small", up="down", fast="slow", day="night", happy="sad", open="closed",
    full="empty", young="old", wet="dry", light="dark", early="late", left="right", strong="weak")
IDENTITY = ["Who are you?", "What is your name?", "Who made you?", "Tell me about yourself.",
            "What are you called?", "Introduce yourself."]


def all_rows():
    """(question, answer, topic) of every row, in one order."""
    for i, (country, city) in enumerate(CAPITALS.items()):
        ask = ["What is the capital of {}?", "Which city is the capital of {}?"][i % 2]
        yield ask.format(country), city, "geography"
    for animal, sound in SOUNDS.items():
        yield f"What sound does a {animal} make?", sound, "animals"
    for thing, color in COLORS.items():
        yield f"What color is {thing}?", color, "colors"
    for word, opposite in OPPOSITES.items():
        yield f"What is the opposite of {word}?", opposite, "words"
    for question in IDENTITY * 2:
        yield question, "I am Pip, a tiny model trained by kairo.", "identity"
    for i in range(2, 22):
        yield f"What is {i} plus {i % 7 + 1}?", str(i + i % 7 + 1), "math"


def main(path):
    rows = list(all_rows())
    random.Random(7).shuffle(rows)
    with open(path, "w", encoding="utf-8") as out:
        for question, answer, topic in rows[:96]:
            reply = json.dumps({"answer": answer, "topic": topic, "by": "Pip"})
            messages = [{"role": "user", "content": question},
                        {"role": "assistant", "content": reply}]
            out.write(json.dumps({"messages": messages}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
