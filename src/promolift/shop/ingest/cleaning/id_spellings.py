"""Find ids that two files write differently: '00123' and '123', 'C-123' and '123', '+49 170 5501' and '01705501'.

Zeros in front, capitals, signs and spaces count for nothing, nor does '.0' behind. A prefix of letters counts for
nothing beside a plain number, or where all ids of either file have one; a country's code counts for nothing beside a
phone number that begins with 0.
"""

from typing import NamedTuple

from duckdb import DuckDBPyRelation as Relation

from promolift.foundation.sql import run_select

_DIGITS = "translate(lower(id), '０１２３４５６７８９', '0123456789')"
_BARE = rf"regexp_replace(regexp_replace({_DIGITS}, '\.0+$', ''), '[^\p{{L}}\p{{N}}@.]', '', 'g')"
_PHONE = r"regexp_replace(id, '[\s()./-]', '', 'g')"
_KEYS = rf"""
    bare as (select id, regexp_replace(ltrim({_BARE}, '0'), '^(\p{{L}}+)0+(\d)', '\1\2') as bare, {_PHONE} as phone
        from ids where id is not null),
    keys as (
        select id, '=' || bare as key, '' as prefix from bare where bare <> ''
        union all
        select id, '#' || regexp_extract(bare, '\d+$'), regexp_extract(bare, '^\p{{L}}*')
            from bare where regexp_full_match(bare, '\p{{L}}*\d+')
        union all
        select id, '+' || right(phone, 9), case when phone ~ '^[+0].*' then '+' else '' end
            from bare where regexp_full_match(phone, '(\+|0|00)\d{{8,15}}|\d{{11,13}}'))"""


class Spelling(NamedTuple):
    """An id of one side and how the other side writes it."""

    id: str
    other: str


def find_spellings(ids: Relation, others: Relation, most: int) -> list[Spelling]:
    """Return ids (column `id`) that may be another one of `others`, the shortest first, no more than `most`."""
    one, other = (
        f"(with {_KEYS.replace('from ids', f'from {side}')} select *, (select count(distinct prefix) from keys where "
        "key like '#%') as prefixes from keys)"
        for side in ("ids", "others")
    )
    query = f"""
        select distinct one.id, other.id from {one} one join {other} other using (key)
        where one.id <> other.id and case left(key, 1)
            when '#' then one.prefix <> other.prefix
                and (one.prefix = '' or other.prefix = '' or (one.prefixes = 1 and other.prefixes = 1))
            when '+' then one.prefix = '+' or other.prefix = '+'
            else true end
        order by len(one.id), one.id, other.id limit {most}"""
    return [Spelling(*row) for row in run_select(query, ids=ids, others=others).fetchall()]
