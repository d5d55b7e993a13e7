"""The user's own account, and the admin's list of users: roles, invitations and sessions.

Every change is written to the audit log.
"""

from dataclasses import replace

from sqlalchemy import Connection, func, select

from promolift.server.console.pages.context import (
    INVITATION_PATH,
    PageVisit,
    Redirect,
    Reply,
    Screen,
    form,
    page,
    safe_redirect_path,
    sentence,
)
from promolift.server.console.screens.alerts import alert_data
from promolift.server.console.sign_in_methods import sign_in_methods
from promolift.server.console.state.users import (
    ROLES,
    change_person,
    check_new,
    create_link,
    end_sessions,
    hash_password,
    parse_email,
    verify_password,
)
from promolift.server.ledger.schema import PEOPLE, SESSIONS
from promolift.server.translations import translate_group, translate_key, translate_refusal


@form("/sign-out")
def sign_out(visit: PageVisit) -> Reply:
    """End this session."""
    mine = visit.visitor
    visit.change(lambda db, now_ms: end_sessions(db, now_ms, mine.actor, mine.name, mine.session))
    return Redirect("/sign-in")


@form("/language")
def change_language(visit: PageVisit) -> Reply:
    """Speak another language of the shop to this person from now on."""
    mine, language = visit.visitor, visit.shared.shop.nearest_language(visit.form.get("language"))
    visit.change(lambda db, now_ms: change_person(db, now_ms, mine.actor, mine.name, language=language))
    return Redirect(safe_redirect_path(visit.click.back or "/"))


@page("/account")
def show_account(visit: PageVisit) -> Reply:
    """Show the user's own account: role, e-mail address of single sign-on, alerts, password, sessions."""
    mine = visit.visitor
    seen = select(SESSIONS.c.begun_ms, SESSIONS.c.seen_ms, SESSIONS.c.session).where(SESSIONS.c.name == mine.name)
    with visit.read() as db:
        row = db.execute(select(PEOPLE).where(PEOPLE.c.name == mine.name)).mappings().one()
        sessions = db.execute(seen.order_by(SESSIONS.c.seen_ms.desc())).all()
    listed = [{"begun_ms": s.begun_ms, "seen_ms": s.seen_ms, "here": s.session == mine.session} for s in sessions]
    provided = bool(sign_in_methods(visit.server.settings))
    data = {"name": row["name"], "role": row["role"], "meanings": translate_group("role"), "sessions": listed,
            "has_password": bool(row["password"]), "email": row["email"], "single_sign_on": provided,
            "alerts": alert_data(visit)}  # fmt: skip
    return Screen("account.html", sentence("your_account"), data)


@form("/account/password")
def change_password(visit: PageVisit) -> Reply:
    """A new password; all sessions end, this one too."""
    name, patience = visit.visitor.name, visit.shared.patience
    with visit.read() as db:
        kept = db.execute(select(PEOPLE.c.password).where(PEOPLE.c.name == name)).scalar_one()
    origin = f"session {visit.visitor.session}"  # who fails at the door does not close this one
    if not patience.begin(name, origin).checked:
        raise translate_refusal("wait")
    if kept and not verify_password(visit.form.get("old", "")[:1000], kept):
        raise translate_refusal("password_wrong")
    patience.reset(name, origin)
    check_new(name, visit.form.get("new", ""))
    new = hash_password(visit.form["new"])
    visit.change(lambda db, now_ms: change_person(db, now_ms, visit.visitor.actor, name, password=new))
    return Redirect("/sign-in")


@page("/people", "admin")
def show_users(visit: PageVisit) -> Screen:
    """Show all users with role and sessions."""
    last = select(SESSIONS.c.name, func.count().label("sessions"), func.max(SESSIONS.c.seen_ms).label("seen_ms"))
    seen = last.group_by(SESSIONS.c.name).subquery()
    columns = (
        PEOPLE.c.name,
        PEOPLE.c.role,
        PEOPLE.c.email,
        PEOPLE.c.gone,
        PEOPLE.c.made_ms,
        seen.c.sessions,
        seen.c.seen_ms,
    )
    listed = select(*columns).outerjoin(seen, seen.c.name == PEOPLE.c.name).order_by(PEOPLE.c.made_ms, PEOPLE.c.name)
    with visit.read() as db:
        rows = db.execute(listed).mappings().all()
    known = [{**row, "gone": bool(row["gone"]), "sessions": row["sessions"] or 0} for row in rows]
    data = {"people": known, "meanings": translate_group("role"), "two_eyes": visit.two_eyes, "link": ""}
    return Screen("users.html", translate_key("nav", "/people"), data)


@form("/people/invite", "admin")
def invite(visit: PageVisit) -> Reply:
    """A link by which one person may enter, shown once."""
    role = next((each for each in ROLES if each == visit.form.get("role")), None)
    if role is None:
        raise translate_refusal("role_unknown")
    made: list[str] = []
    email = parse_email(visit.form.get("email", ""))
    visit.change(lambda db, now_ms: made.append(create_link(db, now_ms, visit.visitor.actor, "invite", role, email)))
    shown = show_users(visit)
    return replace(
        shown, data={**shown.data, "link": f"{visit.click.origin}/console{INVITATION_PATH}{made[-1]}", "role": role}
    )


@form("/people/{name}", "admin", "/people")
def change(visit: PageVisit) -> str:
    """Another role or e-mail address for a person, or out, or back in."""
    name, what = visit.params["name"], visit.form.get("what", "")
    new: dict[str, object] = {}
    if what == "role" and visit.form.get("role") in ROLES:
        new = {"role": visit.form["role"]}
    elif what == "email":
        new = {"email": parse_email(visit.form.get("email", ""))}
    elif what in ("out", "in"):
        new = {"gone": int(what == "out")}

    def do(db: Connection, now_ms: int) -> None:
        if what == "sessions":
            end_sessions(db, now_ms, visit.visitor.actor, name)
        elif new:
            change_person(db, now_ms, visit.visitor.actor, name, **new)

    visit.change(do)
    return sentence("changed", name=name)
