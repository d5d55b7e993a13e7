"""Who is signed in, and the admin's list of people: roles, invitations, sessions. What was done is in the audit log."""

from sqlalchemy import Connection, func, select

from promolift.console.entrance import ENTER, onward
from promolift.console.people import ROLES, change_person, check_new, end, hashed, matches, new_link
from promolift.console.visit import PageVisit, Redirect, Reply, Screen, form, on_to, page
from promolift.serve.worded import refused, worded
from promolift.store.ledger_schema import PEOPLE, SESSIONS
from promolift.words import pick


def role_meanings() -> dict[str, str]:
    """What each role may do, in the language that is spoken."""
    return {role: worded("role", role) for role in ROLES}


@form("/sign-out")
def sign_out(visit: PageVisit) -> Reply:
    """End this session."""
    mine = visit.visitor
    visit.change(lambda db, now_ms: end(db, now_ms, mine.actor, mine.name, mine.session))
    return Redirect("/sign-in")


@form("/language")
def change_language(visit: PageVisit) -> Reply:
    """Speak the other language to this person from now on."""
    language = "zh" if visit.form.get("language") == "zh" else "en"
    visit.change(
        lambda db, now_ms: change_person(db, now_ms, visit.visitor.actor, visit.visitor.name, language=language)
    )
    return Redirect(onward(visit.form.get("back", "/")))


@page("/account")
def account(visit: PageVisit) -> Reply:
    """The visitor's own page: role, password, where they are signed in."""
    with visit.read() as db:
        row = db.execute(select(PEOPLE).where(PEOPLE.c.name == visit.visitor.name)).mappings().one()
        mine = select(SESSIONS.c.begun_ms, SESSIONS.c.seen_ms, SESSIONS.c.session)
        sessions = db.execute(mine.where(SESSIONS.c.name == visit.visitor.name).order_by(SESSIONS.c.seen_ms.desc()))
        listed = [
            {"begun_ms": s.begun_ms, "seen_ms": s.seen_ms, "here": s.session == visit.visitor.session} for s in sessions
        ]
    data = {
        "name": row["name"],
        "role": row["role"],
        "meanings": role_meanings(),
        "sessions": listed,
        "has_password": bool(row["password"]),
    }
    return Screen("account.html", pick("Your account", "我的账号"), data)


@form("/account/password")
def change_password(visit: PageVisit) -> Reply:
    """A new password; all sessions end, this one too."""
    name, patience = visit.visitor.name, visit.shared.patience
    with visit.read() as db:
        kept = db.execute(select(PEOPLE.c.password).where(PEOPLE.c.name == name)).scalar_one()
    if patience.wait_s(f"name {name.lower()}"):
        raise refused("wait")
    if kept and not matches(visit.form.get("old", "")[:1000], kept):
        patience.wrong(f"name {name.lower()}")
        raise refused("password_wrong")
    check_new(name, visit.form.get("new", ""))
    new = hashed(visit.form["new"])
    visit.change(lambda db, now_ms: change_person(db, now_ms, visit.visitor.actor, name, password=new))
    return Redirect("/sign-in")


@page("/people", "admin")
def people(visit: PageVisit) -> Reply:
    """Everybody who may sign in, with role and sessions."""
    sessions = select(SESSIONS.c.name, func.count().label("sessions"), func.max(SESSIONS.c.seen_ms).label("seen_ms"))
    with visit.read() as db:
        seen = {row.name: row for row in db.execute(sessions.group_by(SESSIONS.c.name))}
        rows = db.execute(select(PEOPLE).order_by(PEOPLE.c.made_ms, PEOPLE.c.name)).mappings().all()
    listed = [
        {
            "name": row["name"],
            "role": row["role"],
            "gone": bool(row["gone"]),
            "made_ms": row["made_ms"],
            "sessions": seen[row["name"]].sessions if row["name"] in seen else 0,
            "seen_ms": seen[row["name"]].seen_ms if row["name"] in seen else None,
        }
        for row in rows
    ]
    two_eyes = visit.server.settings.console.two_eyes
    data = {"people": listed, "meanings": role_meanings(), "two_eyes": two_eyes, "link": ""}
    return Screen("people.html", pick("People", "人员"), data)


@form("/people/invite", "admin")
def invite(visit: PageVisit) -> Reply:
    """A link by which one person may enter, shown once."""
    role = next((each for each in ROLES if each == visit.form.get("role")), None)
    if role is None:
        raise refused("role_unknown")
    made: list[str] = []
    visit.change(lambda db, now_ms: made.append(new_link(db, now_ms, visit.visitor.actor, "invite", role)))
    page = people(visit)
    assert isinstance(page, Screen)
    return Screen(page.template, page.title, {**page.data, "link": f"/console{ENTER}{made[-1]}", "role": role})


@form("/people/{name}", "admin")
def change(visit: PageVisit) -> Reply:
    """Another role for a person, or out, or back in."""
    name, what = visit.params["name"], visit.form.get("what", "")
    new: dict[str, object] = {}
    if what == "role" and visit.form.get("role") in ROLES:
        new = {"role": visit.form["role"]}
    elif what in ("out", "in"):
        new = {"gone": int(what == "out")}

    def do(db: Connection, now_ms: int) -> None:
        if what == "sessions":
            end(db, now_ms, visit.visitor.actor, name)
        elif new:
            change_person(db, now_ms, visit.visitor.actor, name, **new)

    visit.change(do)
    return on_to("/people", f"Done: {name}.", f"已完成：{name}。")
