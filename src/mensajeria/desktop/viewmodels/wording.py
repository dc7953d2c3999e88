"""Times, dates and accessible sentences in the person's language. Pure.

The translator, the clock and the time zone are passed in.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from mensajeria.desktop.viewmodels.parts import QuoteKind
from mensajeria.desktop.viewmodels.types import MessageState, ServiceKind, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from mensajeria.client.i18n import Translator
    from mensajeria.desktop.viewmodels.parts import FileRow, QuoteRow
    from mensajeria.desktop.viewmodels.types import ChatRow, MessageRow

_LATEST_MS = 253_402_300_799_000
"""End of the year 9999: later (hostile) times are shown as this one instead of failing."""
_DAYS_KEPT = 4096
_SIZES = ("B", "KB", "MB", "GB", "TB")


class Wording:
    """Turns rows into words. ``now_ms`` gives the time; ``zone`` is the local time zone when ``None``."""

    def __init__(self, translator: Translator, now_ms: Callable[[], int], zone: tzinfo | None = None) -> None:
        self.translator = translator
        self.now_ms = now_ms
        self._zone = zone
        self._days: dict[int, date] = {}

    def local(self, time_ms: int) -> datetime:
        """``time_ms`` in the local time zone, forced into the years a date can have."""
        bounded = min(max(time_ms, 0), _LATEST_MS - 86_400_000)
        return datetime.fromtimestamp(bounded / 1000, UTC).astimezone(self._zone)

    def day(self, time_ms: int) -> date:
        """The local day of ``time_ms``; asked several times for each row, so the last minutes are remembered."""
        minute = time_ms // 60_000
        found = self._days.get(minute)
        if found is None:
            if len(self._days) >= _DAYS_KEPT:
                self._days.clear()
            found = self._days[minute] = self.local(minute * 60_000).date()
        return found

    def clock(self, time_ms: int) -> str:
        """Time of day, as in ``9:55``."""
        moment = self.local(time_ms)
        return f"{moment.hour}:{moment.minute:02d}"

    def short_date(self, time_ms: int) -> str:
        """For the chat list: time today, then "Yesterday", the weekday within a week, else the date."""
        day, today = self.day(time_ms), self.day(self.now_ms())
        ago = (today - day).days
        if ago <= 0:
            return self.clock(time_ms)
        if ago == 1:
            return self.translator.tr("date.yesterday")
        if ago < 7:
            return self._names("date.weekdays_short")[day.weekday()]
        return self.translator.tr(
            "date.numeric", day=f"{day.day:02d}", month=f"{day.month:02d}", year=f"{day.year % 100:02d}"
        )

    def long_date(self, day: date) -> str:
        """For the pills of the timeline.

        "Today", "Yesterday", "Monday, 23 November", with the year if it is another one.
        """
        today = self.day(self.now_ms())
        ago = (today - day).days
        if ago in (0, 1):
            return self.translator.tr("date.today" if ago == 0 else "date.yesterday")
        key = "date.long" if day.year == today.year else "date.long_year"
        weekday = self._names("date.weekdays")[day.weekday()]
        month = self._names("date.months")[day.month - 1]
        return self.translator.tr(key, weekday=weekday, day=day.day, month=month, year=day.year)

    def state(self, state: MessageState) -> str:
        """The word for a message's state; empty for incoming ones."""
        return "" if state is MessageState.NONE else self.translator.tr(f"state.{state.name.lower()}")

    def preview(self, row: ChatRow) -> str:
        """Second line of a chat row, without draft and typing."""
        if row.preview_kind is None:
            return row.preview
        if isinstance(row.preview_kind, Unreadable):
            return self.translator.tr(f"unreadable.{row.preview_kind.name.lower()}")
        return self.translator.tr(f"service_short.{row.preview_kind.name.lower()}")

    def service(self, row: MessageRow) -> str:
        """Sentence of a service row; ``service_params`` fills it (``count`` chooses the plural)."""
        kind = row.service or ServiceKind.TAMPERED
        params: dict[str, object] = dict(row.service_params)
        if kind is ServiceKind.TIMER_CHANGED:
            return self.translator.timer(str(params.get("name", "")), str(params.get("seconds", "")))
        count = row.service_params.get("count", "")
        if count.isascii() and count.isdigit():
            params["count"] = int(count)
        if "role" in params:
            params["role"] = self.translator.tr(f"group.role.{params['role']}")
        if "choice" in params:
            params["choice"] = self.translator.tr(f"group.history.{params['choice']}")
        return self.translator.tr(f"service.{kind.name.lower()}", **params)

    def size(self, count: int) -> str:
        """A file's size in decimal units, with at most one digit behind the mark: "284 KB", "1,2 MB"."""
        value, unit = float(max(0, count)), 0
        while value >= 1000 and unit < len(_SIZES) - 1:
            value, unit = value / 1000, unit + 1
        digits = 1 if unit > 1 and value < 100 else 0
        number = f"{value:.{digits}f}"
        return f"{number.replace('.', self.translator.tr('number.decimal_mark'))} {_SIZES[unit]}"

    def progress(self, done: int, total: int) -> str:
        """How much of a file is there, both in the unit of the whole: "1,6 de 2,2 MB"."""
        whole = self.size(total)
        exponent = _SIZES.index(whole.rpartition(" ")[2])
        number = f"{max(0, done) / 1000**exponent:.{1 if exponent > 1 else 0}f}"
        mark = self.translator.tr("number.decimal_mark")
        return self.translator.tr("message.part_of", done=number.replace(".", mark), total=whole)

    def quote(self, quote: QuoteRow) -> str:
        """One line for the answered message, as it stands here."""
        if quote.kind is QuoteKind.TEXT and quote.text:
            return quote.text
        key = {QuoteKind.DELETED: "message.quote_deleted", QuoteKind.MISSING: "message.missing"}.get(
            quote.kind, "message.file"
        )
        return self.translator.tr(key)

    def quote_author(self, quote: QuoteRow) -> str:
        """Who wrote the answered message."""
        return self.translator.tr("timeline.you") if quote.outgoing else quote.author

    def file_line(self, file: FileRow) -> str:
        """Size and kind of a file, as under its name."""
        return f"{self.size(file.size)} · {file.extension}" if file.extension else self.size(file.size)

    def body(self, row: MessageRow) -> str:
        """What is painted as the text of a row."""
        if row.service is not None:
            return self.service(row)
        if row.unreadable is not None:
            return self.translator.tr(f"unreadable.{row.unreadable.name.lower()}")
        return row.text

    def accessible_message(self, row: MessageRow) -> str:
        """The whole row as one sentence for a screen reader."""
        if row.service is not None:
            return self.service(row)
        who = self.translator.tr("timeline.you") if row.outgoing else row.sender.shown_name
        parts = [who, self.clock(row.time_ms), *self._accessible_parts(row), self.body(row), self.state(row.state)]
        if row.reactions:
            count = sum(each.count for each in row.reactions)
            emoji = " ".join(each.emoji for each in row.reactions)
            parts.append(self.translator.tr("message_access.reactions", count=count, emoji=emoji))
        if row.expire_s:
            parts.append(self.translator.tr("message_access.timer"))
        if row.edited:
            parts.append(self.translator.tr("timeline.edited"))
        if row.clock_off:
            parts.append(self.translator.tr("timeline.clock_off"))
        return ", ".join(part for part in parts if part)

    def _accessible_parts(self, row: MessageRow) -> list[str]:
        """What stands above the text: the answered message, the file."""
        parts = []
        if row.quote is not None:
            name, text = self.quote_author(row.quote), self.quote(row.quote)
            parts.append(self.translator.tr("message_access.reply", name=name, text=text))
        if row.file is not None:
            key = "picture" if row.file.is_picture else "file"
            parts.append(self.translator.tr(f"message_access.{key}", name=row.file.name, size=self.size(row.file.size)))
        return parts

    def accessible_chat(self, row: ChatRow) -> str:
        """The whole chat row as one sentence for a screen reader."""
        tr = self.translator.tr
        parts = [row.title]
        parts += [tr("chat.verified")] if row.verified else []
        parts += [tr("chat.blocked")] if row.blocked else []
        parts += [tr("chat.muted")] if self.is_muted(row) else []
        parts += [tr("group.members", count=row.members)] if row.group else []
        parts += [tr("chat.online")] if row.online else []
        parts += [tr("chat.request_short")] if row.request else []
        parts += [tr("chat.unread", count=row.unread)] if row.unread else []
        if row.draft:
            parts.append(f"{tr('chat.draft')} {row.draft}")
        elif row.typing:
            parts.append(tr("chat.is_typing", name=row.typist) if row.typist else tr("chat.typing"))
        else:
            named = row.author and row.preview_kind is None
            parts += [f"{row.author}: {self.preview(row)}" if named else self.preview(row), self.state(row.last_state)]
        parts.append(self.short_date(row.time_ms) if row.time_ms else "")
        return ", ".join(part for part in parts if part)

    def is_muted(self, row: ChatRow) -> bool:
        """Whether nobody is told of what comes in a chat now."""
        return row.muted_until_ms > self.now_ms()

    def until(self, time_ms: int) -> str:
        """Until when a chat is muted, as a sentence."""
        if time_ms > _LATEST_MS:
            return self.translator.tr("mute.until_undone")
        when = f"{self.long_date(self.day(time_ms))}, {self.clock(time_ms)}"
        return self.translator.tr("mute.until", when=when)

    def _names(self, key: str) -> list[str]:
        return self.translator.tr(key).split("|")
