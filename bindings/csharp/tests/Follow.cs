using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Madang;

// A list as C# 8 follows it, without a server.
static class Follow
{
    static async Task Main()
    {
        var config = new ClientConfig("http://127.0.0.1:1", new StoreLocation.Memory());
        using var client = await Client.OpenAsync(config, Tokens.From(_ => Task.FromResult("t")));
        using var rooms = await client.RoomsAsync();
        await Changes(client, rooms);
        await GivenUp(client, rooms);
        await Ended(client, rooms);
    }

    static void True(bool condition, string claim)
    {
        if (!condition) throw new Exception("not so: " + claim);
        Console.WriteLine("good    " + claim);
    }

    static async Task Changes(Client client, RoomList rooms)
    {
        var shown = new List<RoomItem>();
        var making = Task.Run(async () => { foreach (var name in new[] { "one", "two", "three" }) await client.CreateRoomAsync(new NewRoom(name)); });
        await foreach (var batch in rooms.ChangesAsync())
        {
            foreach (var change in batch) change.ApplyTo(shown);
            if (shown.Count == 3) break;
        }
        await making;
        True(shown.Select(room => room.Name).OrderBy(name => name).SequenceEqual(new[] { "one", "three", "two" }), "await foreach tells every change");
    }

    static async Task GivenUp(Client client, RoomList rooms)
    {
        using var soon = new CancellationTokenSource(100);
        var over = false;
        try
        {
            await foreach (var batch in rooms.ChangesAsync().WithCancellation(soon.Token)) { }
        }
        catch (OperationCanceledException) { over = true; }
        True(over, "a loop that waits ends by its token");
        await client.CreateRoomAsync(new NewRoom("four"));
        var total = 0;
        await foreach (var batch in rooms.ChangesAsync()) { total = batch.Count; break; }
        True(total == 1, "the next loop gets what comes");
    }

    static async Task Ended(Client client, RoomList rooms)
    {
        var ending = Task.Run(async () => { await Task.Delay(100); await client.ShutdownAsync(TimeSpan.Zero); });
        await foreach (var batch in rooms.ChangesAsync()) { }
        await ending;
        True(true, "a loop ends with the client");
    }
}
