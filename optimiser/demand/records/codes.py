"""Code sets of the SSDA903 return, of all years: what each code means for beds.

Source: DfE, *Children looked-after by local authorities in England: guide to the SSDA903 collection*, editions 2014/15
to 2024/25, and the technical specifications (code sets 5.5 to 5.12 of 2018/19). Codes that a guide no longer has are
kept, since records of ten years are read together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """What a placement is.

    ``is_bed``: a bed that the council has to find. ``urn_is_the_home``: the URN names one home, not an agency or a
    provider of many, so that the same URN is the same bed.
    """

    name: str
    is_bed: bool = True
    urn_is_the_home: bool = False


CHILDRENS_HOME = Category("childrens-home", urn_is_the_home=True)
SECURE_HOME = Category("secure-home", urn_is_the_home=True)
SUPPORTED = Category("supported-accommodation")
SEMI_INDEPENDENT = Category("semi-independent")
INDEPENDENT = Category("independent-living")
CARE_HOME = Category("residential-care-home", urn_is_the_home=True)
FAMILY_CENTRE = Category("family-centre")
SCHOOL = Category("residential-school", urn_is_the_home=True)
KINSHIP = Category("kinship-fostering")
FOSTERING = Category("fostering")
OTHER = Category("other")
HOSPITAL = Category("hospital", is_bed=False)
CUSTODY = Category("custody", is_bed=False)
PARENTS = Category("with-parents", is_bed=False)
EMPLOYMENT = Category("residential-employment", is_bed=False)
ADOPTION = Category("placed-for-adoption", is_bed=False)
MISSING = Category("missing", is_bed=False)
#: A temporary stay (hospital, holiday, respite) keeps the bed that the child returns to; only where there is no
#: placement before it is it a category of its own.
TEMPORARY = Category("temporary", is_bed=False)

PLACES: Mapping[str, Category] = {
    "K1": SECURE_HOME,
    "K2": CHILDRENS_HOME,
    "K3": SUPPORTED,  # registered with Ofsted, returns of 2025 on
    "H5": SEMI_INDEPENDENT,  # to 2024
    "P2": INDEPENDENT,  # to 2024
    "R1": CARE_HOME,
    "R2": HOSPITAL,
    "R3": FAMILY_CENTRE,
    "R5": CUSTODY,
    "S1": SCHOOL,
    "P1": PARENTS,
    "P3": EMPLOYMENT,
    **dict.fromkeys(("U1", "U2", "U3"), KINSHIP),
    **dict.fromkeys(("U4", "U5", "U6"), FOSTERING),
    **dict.fromkeys(("A3", "A4", "A5", "A6"), ADOPTION),
    **dict.fromkeys(("T0", "T1", "T2", "T3", "T4"), TEMPORARY),
    "Z1": OTHER,
    # from 2026, meanings not published to us: kept apart, never guessed
    **{code: Category(f"other-{code.lower()}") for code in ("Z11", "Z12", "Z13", "Z14")},
    # withdrawn with the guide of 2014/15, when U1 to U6 and K2 replaced them
    **dict.fromkeys(("F1", "F4", "Q1"), KINSHIP),
    **dict.fromkeys(("F2", "F3", "F5", "F6", "Q2"), FOSTERING),
    **dict.fromkeys(("H3", "H4"), CHILDRENS_HOME),
    **dict.fromkeys(("M2", "M3"), MISSING),
}
CATEGORIES: Mapping[str, Category] = {category.name: category for category in PLACES.values()}

PROVIDERS: Mapping[str, str] = {
    "PR0": "parents",
    "PR1": "own-council",
    "PR2": "other-council",
    "PR3": "other-public",
    "PR4": "private",
    "PR5": "voluntary",
    "": "not-recorded",
}

#: Short breaks: nights away from a family that the child still lives with, not demand for a bed.
SHORT_BREAKS = frozenset({"V3", "V4"})
LEGAL_STATUSES = frozenset({"C1", "C2", "D1", "E1", "J1", "J2", "J3", "L1", "L2", "L3", "V2"}) | SHORT_BREAKS

STARTED_BEING_LOOKED_AFTER = "S"
LEGAL_STATUS_ONLY = "L"
#: The placement changes, but its carers do not (T), or the legal status with it (U); with P and B the carers change too. As
#: in the validation rules of the collection: 217 (placed for adoption with one's own foster carers: S, T or U), 435 (P and T:
#: placement only) and 436 (B and U: placement and legal status).
SAME_CARERS = frozenset({"T", "U"})
REASONS_NEW_EPISODE = frozenset({"S", "L", "P", "T", "B", "U"})

#: X1: the episode ceases and another begins at once. All other reasons: the child is no longer looked after.
ANOTHER_EPISODE = "X1"
LEFT_CARE = frozenset(
    {"E1", "E2", "E3", "E4", "E4A", "E4B", "E5", "E6", "E7", "E8", "E9", "E11", "E12", "E13", "E14", "E15"}
) | frozenset({"E16", "E17", "E41", "E43", "E44", "E45", "E46", "E47", "E48"})
REASONS_CEASED = LEFT_CARE | {ANOTHER_EPISODE, ""}

NEEDS = frozenset({"N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8", ""})

#: Both codings: 1 and 2 until 2024, M, F and U since.
SEXES: Mapping[str, str] = {"1": "male", "M": "male", "2": "female", "F": "female", "U": "unknown", "": "unknown"}

LOCATIONS: Mapping[str, str] = {"IN": "in-area", "OUT": "out-of-area", "": "unknown"}

#: Upper ends of the distance bands, miles; DfE publishes placements over 20 miles from home.
DISTANCE_BANDS: tuple[tuple[float, str], ...] = (
    (10.0, "up-to-10-miles"),
    (20.0, "10-to-20-miles"),
    (float("inf"), "over-20-miles"),
)

#: Codes allowed by column of Episodes. A blank is allowed where it is in the set.
CODES: Mapping[str, frozenset[str]] = {
    "RNE": REASONS_NEW_EPISODE,
    "LS": LEGAL_STATUSES,
    "CIN": NEEDS,
    "PLACE": frozenset(PLACES),
    "PLACE_PROVIDER": frozenset(PROVIDERS),
    "REC": REASONS_CEASED,
    "PL_LOCATION": frozenset(LOCATIONS),
}

#: Columns of the tables that are read; those of ``OPTIONAL`` may be absent.
EPISODES = ("CHILD", "DECOM", "RNE", "LS", "CIN", "PLACE", "PLACE_PROVIDER", "DEC", "REC")
EPISODES_OPTIONAL = ("URN", "PL_LOCATION", "PL_DISTANCE")
HEADER = ("CHILD", "SEX", "DOB")
UASC = ("CHILD", "DOB", "DUC")
#: A column that only one of the other tables has, and that table: known, and not needed.
OTHER_TABLES: Mapping[str, str] = {
    "REVIEW": "Reviews",
    "SDQ_SCORE": "OC2",
    "IN_TOUCH": "OC3",
    "DATE_INT": "AD1",
    "DATE_PLACED": "PlacedAdoption",
    "PREV_PERM": "PrevPerm",
    "MIS_START": "Missing",
    "SW_DECOM": "SocialWorker",
}
#: Other names of columns: the tags of the XML form, and of derived extracts.
ALIASES: Mapping[str, str] = {"CHILDID": "CHILD", "PL": "PLACE", "DISTANCE": "PL_DISTANCE", "LOCATION": "PL_LOCATION"}
