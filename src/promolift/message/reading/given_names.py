"""English given names that nobody mistakes for everyday words, as one pattern."""

import re

# Given names that are no everyday English words: anyone so called, unless it is the recipient, is a stranger.
_GIVEN = """
    Aaron Abigail Adam Alan Albert Alex Alexander Alexis Alice Amanda Amy Andrea Andrew Angela Anna Anne Anthony
    Arthur Barbara Benjamin Betty Bob Bobby Brandon Brenda Brian Bruce Bryan Carl Catherine Charles Charlotte Cheryl
    Christina Christine Christopher Cynthia Daniel David Deborah Denise Dennis Diana Diane Donald Donna Dorothy
    Douglas Dylan Edward Elizabeth Ella Emily Emma Eric Ethan Eugene Evelyn Fiona Gabriel Gary George Gerald Gloria
    Gregory Hannah Harold Helen Henry Isabella Jacob Jacqueline James Jane Janet Janice Jason Jeffrey Jennifer
    Jeremy Jerry Jesse Jessica Joan Joe John Jonathan Jordan Jose Joseph Joshua Joyce Juan Judith Judy Julia Julie
    Justin Karen Katherine Kathleen Kathryn Kayla Keith Kelly Kenneth Kevin Kimberly Kyle Larry Laura Lauren
    Lawrence Liam Linda Lisa Logan Louis Lucy Luke Margaret Maria Marie Marilyn Martha Martin Mary Matthew Megan
    Melissa Mia Michael Michelle Mohammed Nancy Natalie Nathan Nicholas Nicole Noah Nora Oliver Olivia Oscar Pamela
    Patricia Patrick Paul Peter Philip Rachel Ralph Raymond Rebecca Richard Robert Roger Ronald Roy Russell Ruth
    Ryan Samantha Samuel Sandra Sara Sarah Scott Sean Sharon Shirley Simon Sophia Sophie Stephanie Stephen Steve
    Steven Susan Teresa Terry Theresa Thomas Tim Timothy Tom Tyler Vincent Walter Wayne William Zachary Zoe
"""
GIVEN_NAMES = re.compile(rf"\b(?:{'|'.join(_GIVEN.split())})\b(?!'s Day)")
