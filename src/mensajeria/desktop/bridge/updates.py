"""What crosses from the client's thread to Qt's: frozen values, applied to the session model in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from mensajeria.desktop.viewmodels.asking import Answer, Request
    from mensajeria.desktop.viewmodels.notes import Arrival
    from mensajeria.desktop.viewmodels.parts import TransferRow, VersionRow
    from mensajeria.desktop.viewmodels.profiles import ProfileRow
    from mensajeria.desktop.viewmodels.session import SessionModel
    from mensajeria.desktop.viewmodels.types import (
        ChatRow,
        ConnectionState,
        ErrorNotice,
        LinkCheck,
        MessageRow,
        NameCheck,
        OpenedChat,
        Page,
        PasswordStrength,
        Person,
        Phase,
        ServerCheck,
    )
    from mensajeria.kit.secrets import Secret


@dataclass(frozen=True, slots=True)
class PhaseIs:
    """Which window is shown."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class AccountIs:
    """Who is signed in."""

    account: Person


@dataclass(frozen=True, slots=True)
class RecoveryCodeIs:
    """The code to be written down."""

    code: Secret
    anew: bool = False
    """The account has begun anew by its operator's leave."""
    unsure: bool = False
    """The server's answer was lost: nobody knows yet whether the account was made."""


@dataclass(frozen=True, slots=True)
class AuthFailed:
    """A login or registration failed."""

    error: ErrorNotice


@dataclass(frozen=True, slots=True)
class PassphraseNeeded:
    """The profile's key is (`new`: will be) sealed by a passphrase; nobody has given it yet, or it was `wrong`."""

    wrong: bool = False
    new: bool = False


@dataclass(frozen=True, slots=True)
class OpeningFailed:
    """The profile is there and cannot be opened: the program can only say so and end."""

    error: ErrorNotice


@dataclass(frozen=True, slots=True)
class ServerChecked:
    """Answer about an address."""

    check: ServerCheck


@dataclass(frozen=True, slots=True)
class NameChecked:
    """Answer about a name."""

    check: NameCheck


@dataclass(frozen=True, slots=True)
class PasswordChecked:
    """Answer about a password; the very object that was asked about."""

    password: Secret
    strength: PasswordStrength


@dataclass(frozen=True, slots=True)
class LinkChecked:
    """Answer about a code for a new device; the very object that was asked about."""

    code: Secret
    check: LinkCheck


@dataclass(frozen=True, slots=True)
class ConnectionIs:
    """State of the link."""

    state: ConnectionState


@dataclass(frozen=True, slots=True)
class ChatsPut:
    """Rows of the chat list."""

    rows: tuple[ChatRow, ...]
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProfilesPut:
    """What people tell about themselves."""

    rows: tuple[ProfileRow, ...]


@dataclass(frozen=True, slots=True)
class MessagesPut:
    """New and changed rows of one chat."""

    chat_id: str
    rows: tuple[MessageRow, ...]
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatOpened:
    """First page of the open chat."""

    opened: OpenedChat


@dataclass(frozen=True, slots=True)
class OlderPut:
    """The page before the timeline's window."""

    page: Page


@dataclass(frozen=True, slots=True)
class NewerPut:
    """The page after the timeline's window."""

    page: Page


@dataclass(frozen=True, slots=True)
class TransferPut:
    """A file has come further; `transfer` None: it is no longer on its way."""

    chat_id: str
    mid: str
    transfer: TransferRow | None


@dataclass(frozen=True, slots=True)
class VersionsAre:
    """Answer about what a text has said so far."""

    mid: str
    versions: tuple[VersionRow, ...]


@dataclass(frozen=True, slots=True)
class TimerIs:
    """After how many seconds what is written in a chat disappears."""

    chat_id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class NewChatDone:
    """Answer to a new chat: its id, or an error code."""

    chat_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Noticed:
    """An error that no field or row shows."""

    notice: ErrorNotice


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message of somebody else has come."""

    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Answered:
    """Something to show about a group, a person or the account."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Finished:
    """A request is done, or has failed."""

    request: Request
    error: ErrorNotice | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """Nothing of the account is on this computer any more."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The client's thread has ended: nothing follows."""


Update = (
    PhaseIs
    | AccountIs
    | RecoveryCodeIs
    | AuthFailed
    | PassphraseNeeded
    | OpeningFailed
    | ServerChecked
    | NameChecked
    | PasswordChecked
    | LinkChecked
    | ConnectionIs
    | ChatsPut
    | ProfilesPut
    | MessagesPut
    | ChatOpened
    | OlderPut
    | NewerPut
    | TransferPut
    | VersionsAre
    | TimerIs
    | NewChatDone
    | Noticed
    | Arrived
    | Answered
    | Finished
    | Erased
    | Stopped
)


def apply(update: Update, session: SessionModel) -> None:  # noqa: C901, PLR0912, PLR0915 - one line for each kind
    """Bring one update into the session model. On Qt's thread only."""
    match update:
        case PhaseIs(phase):
            session.set_phase(phase)
        case AccountIs(account):
            session.set_account(account)
        case RecoveryCodeIs(code, anew, unsure):
            session.set_recovery_code(code, anew=anew, unsure=unsure)
        case AuthFailed(error):
            session.fail_auth(error)
        case ServerChecked(check):
            session.set_server_check(check)
        case NameChecked(check):
            session.set_name_check(check)
        case PasswordChecked(password, strength):
            session.set_password_strength(password, strength)
        case LinkChecked(code, link):
            session.set_link_check(code, link)
        case ConnectionIs(state):
            session.set_connection(state)
        case ChatsPut(rows, gone):
            session.put_chats(rows, gone)
        case ProfilesPut(profiles):
            session.profiles.put(profiles)
        case MessagesPut(chat_id, rows, gone):
            session.put_messages(chat_id, rows, gone)
        case ChatOpened(opened):
            session.put_opened_chat(opened)
        case OlderPut(page):
            session.put_older(page)
        case NewerPut(page):
            session.put_newer(page)
        case TransferPut(chat_id, mid, transfer):
            session.put_transfer(chat_id, mid, transfer)
        case VersionsAre(mid, versions):
            session.messages.put_versions(mid, versions)
        case TimerIs(chat_id, seconds):
            session.messages.put_timer(chat_id, seconds)
        case NewChatDone(chat_id, error):
            session.finish_new_chat(chat_id, error)
        case Noticed(notice):
            session.notify(notice)
        case Arrived(arrival):
            session.arrived.emit(arrival)
        case Answered(answer):
            session.asks.put(answer)
        case Finished(request, failure):
            session.asks.finish(request, failure)
        case Erased():
            session.forget()
        case PassphraseNeeded() | OpeningFailed() | Stopped():
            pass  # for the program, which listens to the bridge itself
        case _:
            assert_never(update)
