"""What a device is doing when it is killed: each story puts a world in place, then lets one device work."""

from __future__ import annotations

from tests.chaos.people import DAY_S, Device
from tests.chaos.world import World


class Story:
    """One story. `victim` is the device that dies; it runs before `tell` if `runs` says so."""

    runs = True
    born = False
    """The victim is made in the story: it has no profile before."""

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    async def prepare(self, world: World) -> Device:
        """Everything before the story; the victim is not started yet."""
        for device in world.devices:
            if device is not world.device("ana", "laptop"):
                await world.start(device)
        world.clock.offset_s += 0.4 * DAY_S
        return world.device("ana", "laptop")

    async def tell(self, world: World, victim: Device) -> None:
        raise NotImplementedError


class Send(Story):
    """A message for which a new session must be made and handed to every device."""

    async def tell(self, world: World, victim: Device) -> None:
        await world.write(victim, "bruno", 2)
        await world.sent(victim)


class Receive(Story):
    """Catching up: keys from the mailbox, rows of the log."""

    runs = False
    away_s = 0.4 * DAY_S

    async def prepare(self, world: World) -> Device:
        victim = world.device("ana", "laptop")
        others = [device for device in world.devices if device is not victim]
        for device in others:
            await world.start(device)
        world.clock.offset_s += self.away_s
        for device in others:
            await world.connected(device)
        await world.write(world.device("bruno", "phone"), "ana", 3)
        await world.sent(world.device("bruno", "phone"))
        await world.write(world.device("carla", "laptop"), "ana", 1)
        return victim

    async def tell(self, world: World, victim: Device) -> None:
        await world.connected(victim)


class Rotate(Receive):
    """A device comes back after a week: its mailbox first, then new prekeys, then a message."""

    away_s = 8 * DAY_S

    async def tell(self, world: World, victim: Device) -> None:
        await world.connected(victim)
        await world.write(victim, "bruno", 1)
        await world.sent(victim)


class Remove(Story):
    """A person removes another device, then writes."""

    async def tell(self, world: World, victim: Device) -> None:
        await world.connected(victim)
        await world.remove_device(victim, world.device("ana", "phone"))
        await world.write(victim, "bruno", 1)
        await world.sent(victim)


class Restore(Story):
    """All devices of a person are lost: a new one, from its first file on, gets everything from the key backup."""

    runs = False
    born = True

    async def prepare(self, world: World) -> Device:
        for device in world.devices:
            await world.start(device)
        await world.write(world.device("bruno", "laptop"), "ana", 2)
        await world.write(world.device("ana", "phone"), "bruno", 1)
        await world.write(world.device("carla", "laptop"), "bruno", 1)
        await world.agreed()
        for name in ("laptop", "phone"):
            await world.lose(world.device("bruno", name))
        return world.new_device("bruno")

    async def tell(self, world: World, victim: Device) -> None:
        await world.log_in(victim)
        await world.connected(victim)
        await world.write(victim, "carla", 1)
        await world.sent(victim)
        await world.restored(victim)


class Rewind(Story):
    """The server's database is put back from a backup: the device brings back what the backup lacks."""

    runs = False

    async def prepare(self, world: World) -> Device:
        victim = world.device("ana", "laptop")
        for device in world.devices:
            await world.start(device)
        await world.agreed()
        copy = await world.back_up()
        await world.write(victim, "bruno", 2)
        await world.write(world.device("bruno", "laptop"), "ana", 1)
        await world.write(world.device("carla", "laptop"), "ana", 1)
        await world.agreed()
        await world.put_back(copy)
        for device in world.devices:
            if device is not victim:
                await world.start(device)
        return victim

    async def tell(self, world: World, victim: Device) -> None:
        await world.connected(victim)
        await world.write(victim, "bruno", 1)
        await world.sent(victim)


STORIES = (Send(), Receive(), Rotate(), Remove(), Restore(), Rewind())
