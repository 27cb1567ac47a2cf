using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Madang;
using Step = System.Collections.Generic.Dictionary<string, object>;

// The scenarios of bindings/scenario.json, played by what a C# app uses: GROUND scenario.json TRANSCRIPT
static class Scenarios
{
    static int Main(string[] arguments)
    {
        try { Play(arguments[0], arguments[1], arguments[2]).GetAwaiter().GetResult(); }
        catch (Exception failure) { Console.WriteLine(failure); Exit.With(1); }
        Exit.With(0);
        return 0;
    }

    static async Task Play(string program, string path, string transcript)
    {
        var scenarios = (Step)Json.Parse(File.ReadAllText(path));
        var ground = new Ground(program);
        var lines = new StringBuilder();
        foreach (Step scenario in (List<object>)scenarios["scenarios"])
        {
            lines.Append("# " + scenario["name"] + "\n");
            var scene = new Scene(ground);
            var number = 0;
            foreach (Step step in (List<object>)scenario["steps"])
            {
                number++;
                try { lines.Append(number + " " + await scene.Play(step) + "\n"); }
                catch (Exception failure) { throw new Exception("step " + number + " (" + step["do"] + ") of\n" + lines, failure); }
            }
            await scene.End();
        }
        ground.End();
        File.WriteAllText(transcript, lines.ToString(), new UTF8Encoding(false));
        await Nothing();
    }

    // Nothing of the library is alive when all is over.
    static async Task Nothing()
    {
        for (var look = 0; ; look++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var live = MadangFunctions.LiveObjects();
            if (live.Equals(new LiveObjects(0, 0, 0, 0, 0))) return;
            if (look == 50) throw new Exception("alive: clients " + live.Clients + ", lists " + live.Lists + ", calls " + live.Calls
                + ", callbacks " + live.Callbacks + ", token requests " + live.TokenRequests);
            await Task.Delay(100);
        }
    }
}

// A scenario that is played.
sealed class Scene
{
    static readonly TimeSpan patience = TimeSpan.FromSeconds(60);
    readonly Ground ground;
    readonly string folder = Path.Combine(Path.GetTempPath(), "madang-" + Guid.NewGuid());
    readonly Dictionary<string, Client> clients = new Dictionary<string, Client>();
    readonly Dictionary<string, Host> hosts = new Dictionary<string, Host>();
    readonly Dictionary<string, Timeline> lists = new Dictionary<string, Timeline>();
    readonly Dictionary<string, string> rooms = new Dictionary<string, string>();
    readonly Dictionary<string, string> messages = new Dictionary<string, string>();

    internal Scene(Ground ground)
    {
        this.ground = ground;
        Directory.CreateDirectory(folder);
    }

    internal async Task End()
    {
        foreach (var list in lists.Values) list.Dispose();
        foreach (var client in clients.Values) { await client.ShutdownAsync(TimeSpan.Zero); client.Dispose(); }
        Directory.Delete(folder, true);
    }

    static string Text(Step step, string key) { return (string)step[key]; }
    static long Number(Step step, string key) { return (long)step[key]; }
    static long Number(Step step, string key, long absent) { return step.ContainsKey(key) ? Number(step, key) : absent; }
    Client Of(Step step) { return clients[Text(step, "client")]; }
    string Room(Step step) { return rooms[Text(step, "room")]; }

    Host HostOf(Step step) { return hosts[Text(step, "client")]; }

    // The people of these clients, by id.
    List<string> People(Step step, string key)
    {
        if (!step.ContainsKey(key)) return new List<string>();
        return ((List<object>)step[key]).Select(client => clients[(string)client].Me()).ToList();
    }

    Draft DraftOf(Step step)
    {
        var text = string.Concat(Enumerable.Repeat(Text(step, "text"), (int)Number(step, "times", 1)));
        return new Draft(text, People(step, "mentions"), step.ContainsKey("mention_all"));
    }

    string MessageOf(Step step)
    {
        var name = Text(step, "message");
        return messages.ContainsKey(name) ? messages[name] : name;
    }

    internal async Task<string> Play(Step step)
    {
        var name = Text(step, "do");
        using (var over = new CancellationTokenSource(patience))
        {
            if (!step.ContainsKey("fails"))
            {
                var seen = await Act(name, step, over.Token);
                return seen == "" ? name : name + ": " + seen;
            }
            try { await Act(name, step, over.Token); }
            catch (ClientException failure)
            {
                var seen = Words(failure.Failure);
                if (seen != Text(step, "fails")) throw new Exception("failed with " + seen, failure);
                return name + ": " + seen;
            }
            throw new Exception("did not fail");
        }
    }

    // A failure as all languages say it.
    static string Words(Failure failure)
    {
        var limits = failure.Violations.Select(broken => ", " + broken.Field + ": " + broken.Limit);
        return failure.Kind + " reason " + Or(failure.Reason) + " local " + Or(failure.Local) + string.Concat(limits);
    }

    static string Words(ConnectionState state)
    {
        var ended = state as ConnectionState.Ended;
        return state.GetType().Name + (ended == null ? "" : " " + Words(ended.Reason));
    }

    static string Or(object value) { return value == null ? "-" : value.ToString(); }

    async Task<string> Act(string name, Step step, CancellationToken over)
    {
        switch (name)
        {
            case "open": return await Open(step, over);
            case "close": await LetGo(step, true); return "";
            case "drop": await LetGo(step, false); return "";
            case "end": await Of(step).ShutdownAsync(TimeSpan.Zero, over); return "";
            case "suspend": await Of(step).SuspendAsync(over); return "";
            case "resume": await Of(step).ResumeAsync(over); return "";
            case "sign_out": return await Of(step).SignOutAsync(over) ? "told" : "not told";
            case "disconnect": Of(step).Disconnect(); return "";
            case "reconnect": Of(step).Reconnect(); return "";
            case "ground": ground.Say(Text(step, "say")); return Text(step, "say");
            case "old_store": OldStore(step); return "";
            case "revoke": ground.Say("revoke " + HostOf(step).Login + " " + Of(step).DeviceId()); return "";
            case "tokens": HostOf(step).Answers(Text(step, "are")); return Text(step, "are");
            case "renewed": await HostOf(step).Renewed(over); return "";
            case "state": await Until(Of(step), state => Words(state) == Text(step, "is"), over); return Text(step, "is");
            case "create_room": return await CreateRoom(step, over);
            case "open_direct": await OpenDirect(step, over); return "";
            case "room": return await ShownRoom(step, over);
            case "no_room": await RoomList(step, room => room == null, over); return "";
            case "send": case "edit": case "delete": await Write(name, step, over); return "";
            case "send_many": return await SendMany(step, over);
            case "shows": return await Shows(step, over);
            case "mark_read": case "mark_unread": await Mark(name, step, over); return "";
            case "remove": case "invite": case "join": case "leave": await Membership(name, step, over); return "";
            case "settled": await Of(step).SettledAsync(MessageOf(step), over); return "";
            case "watch": lists[Text(step, "client")] = await Of(step).TimelineAsync(Room(step), over); return "";
            case "told": return await Told(step, over);
            case "jump": return await Jump(step, over);
            case "give_up": return await GiveUp(step);
            case "page": return await Page(step, over);
            default: throw new Exception("no such step");
        }
    }

    async Task LetGo(Step step, bool shutdown)
    {
        var client = Of(step);
        clients.Remove(Text(step, "client"));
        if (shutdown) await client.ShutdownAsync(TimeSpan.Zero);
        client.Dispose();
    }

    async Task<string> Open(Step step, CancellationToken over)
    {
        string name = Text(step, "client"), person = Text(step, "person");
        var store = Path.Combine(folder, step.ContainsKey("store") ? Text(step, "store") : name);
        var config = new ClientConfig(
            step.ContainsKey("server") ? Text(step, "server") : ground.Server,
            new StoreLocation.File(store),
            backoff: new Backoff(TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(200)));
        var host = new Host(ground, person);
        hosts[name] = host;
        var client = await Client.OpenAsync(config, host.Tokens, over);
        clients[name] = client;
        if (!step.ContainsKey("offline")) await Until(client, state => state is ConnectionState.Live, over);
        return person;
    }

    static async Task Until(Client client, Func<ConnectionState, bool> wanted, CancellationToken over)
    {
        using (var states = client.States())
        {
            while (!wanted(await states.NextAsync(over))) { }
        }
    }

    // Lays the store of an earlier version down where a client will look for it.
    void OldStore(Step step)
    {
        var path = Path.Combine(folder, Text(step, "store"));
        rooms[Text(step, "room")] = (string)ground.Say("store " + Number(step, "version") + " " + path)["room"];
    }

    async Task<string> CreateRoom(Step step, CancellationToken over)
    {
        var id = await Of(step).CreateRoomAsync(new NewRoom(Text(step, "name"), members: People(step, "members")), over);
        await Of(step).SettledAsync(id, over);
        rooms[Text(step, "room")] = id;
        return Text(step, "name");
    }

    // Whoever opens it first makes it; all find the same.
    async Task OpenDirect(Step step, CancellationToken over)
    {
        var id = await Of(step).OpenDirectAsync(People(step, "members").Single(), over);
        var name = Text(step, "room");
        if (rooms.ContainsKey(name) && rooms[name] != id) throw new Exception("another room");
        rooms[name] = id;
    }

    async Task Membership(string name, Step step, CancellationToken over)
    {
        var client = Of(step);
        var people = People(step, "members");
        var id = name == "invite" ? await client.InviteAsync(Room(step), people, over)
            : name == "remove" ? await client.RemoveAsync(Room(step), people.Single(), over)
            : name == "join" ? await client.JoinAsync(Room(step), over)
            : await client.LeaveAsync(Room(step), over);
        await client.SettledAsync(id, over);
    }

    async Task<string> ShownRoom(Step step, CancellationToken over)
    {
        var wanted = (Step)step["is"];
        var words = Text(wanted, "name") + " " + Text(wanted, "kind") + " members " + Number(wanted, "members")
            + " unread " + Number(wanted, "unread") + " mentions " + Number(wanted, "mentions", 0);
        await RoomList(step, room => room == words, over);
        return words;
    }

    // Follows the room list by its changes until the room is as it is wanted.
    async Task RoomList(Step step, Func<string, bool> wanted, CancellationToken over)
    {
        using (var list = await Of(step).RoomsAsync(over))
        {
            var shown = (await list.ItemsAsync(over)).ToList();
            while (true)
            {
                var room = shown.FirstOrDefault(one => one.Id == Room(step));
                if (wanted(room == null ? null : Line(room))) return;
                foreach (var change in await list.NextAsync(over)) change.ApplyTo(shown);
            }
        }
    }

    async Task Write(string name, Step step, CancellationToken over)
    {
        var client = Of(step);
        if (name == "edit") { await client.EditAsync(Room(step), new MessageKey.Own(MessageOf(step)), DraftOf(step), over); return; }
        if (name == "delete") { await client.DeleteAsync(Room(step), new MessageKey.Own(MessageOf(step)), over); return; }
        var id = await client.SendAsync(Room(step), DraftOf(step), over);
        if (step.ContainsKey("message")) messages[Text(step, "message")] = id;
    }

    async Task<string> SendMany(Step step, CancellationToken over)
    {
        var last = "";
        for (var number = 1; number <= Number(step, "count"); number++) last = await Of(step).SendAsync(Room(step), new Draft("number " + number), over);
        if (step.ContainsKey("message")) messages[Text(step, "message")] = last;
        else await Of(step).SettledAsync(last, over);
        return Number(step, "count").ToString();
    }

    async Task<string> Shows(Step step, CancellationToken over)
    {
        var wanted = ((List<object>)step["items"]).Cast<string>().ToList();
        var shown = await Timeline(step, found => found.Select(Line).SequenceEqual(wanted), over);
        return string.Join(" | ", shown.Select(message => Line(message).Replace("\\", "\\\\").Replace("\n", "\\n").Replace("\t", "\\t")));
    }

    async Task Mark(string name, Step step, CancellationToken over)
    {
        Func<MessageItem, bool> said = message => message.Text == Text(step, "text") && message.Seq != null;
        var seq = (await Timeline(step, found => found.Any(said), over)).First(said).Seq.Value;
        if (name == "mark_read") await Of(step).MarkReadAsync(Room(step), seq, over);
        else await Of(step).MarkUnreadAsync(Room(step), seq, over);
    }

    // Follows the timeline by its changes until its messages are as they are wanted.
    async Task<List<MessageItem>> Timeline(Step step, Func<List<MessageItem>, bool> wanted, CancellationToken over)
    {
        using (var list = await Of(step).TimelineAsync(Room(step), over))
        {
            var shown = (await list.ItemsAsync(over)).ToList();
            while (true)
            {
                var found = Messages(shown);
                if (wanted(found)) return found;
                try { foreach (var change in await list.NextAsync(over)) change.ApplyTo(shown); }
                catch (OperationCanceledException) { throw new Exception("shows " + string.Join(" | ", found.Select(Line))); }
            }
        }
    }

    static List<MessageItem> Messages(IEnumerable<TimelineItem> items)
    {
        return items.OfType<TimelineItem.Message>().Select(item => item.Value).ToList();
    }

    static string Line(MessageItem message)
    {
        return message.Sender.Name + " " + message.State.GetType().Name + (message.Edited ? " edited" : "") + (message.Deleted ? " deleted" : "") + ": " + message.Text;
    }

    static string Line(RoomItem room)
    {
        return room.Name + " " + room.Kind + " members " + room.MemberCount + " unread " + room.Unread + " mentions " + room.Mentions;
    }

    async Task<string> GiveUp(Step step)
    {
        using (var soon = new CancellationTokenSource(200))
        {
            try { await Of(step).SettledAsync(MessageOf(step), soon.Token); }
            catch (OperationCanceledException) { return "cancelled"; }
        }
        throw new Exception("the answer came");
    }

    async Task<string> Page(Step step, CancellationToken over)
    {
        using (var list = await Of(step).TimelineAtAsync(Room(step), new Anchor.Newest(), over))
        {
            for (var page = 0; page < Number(step, "pages"); page++)
            {
                await list.LoadOlderAsync((int)Number(step, "older"), over);
                // Changes are told by the next wait.
                using (var soon = new CancellationTokenSource(1000))
                {
                    try { await list.NextAsync(soon.Token); }
                    catch (OperationCanceledException) { }
                }
            }
            return Span(await list.ItemsAsync(over));
        }
    }

    // How many there are, the first and the last.
    static string Span(IEnumerable<TimelineItem> items)
    {
        var shown = Messages(items);
        return shown.Count + " from " + shown.First().Text + " to " + shown.Last().Text;
    }

    // What a list that nobody has asked for a while tells at once.
    async Task<string> Told(Step step, CancellationToken over)
    {
        var list = lists[Text(step, "client")];
        var batch = await list.NextAsync(over);
        if (!(batch.Single() is TimelineChange.Reset)) throw new Exception("told " + batch.Count + " changes");
        return "Reset " + Span(await list.ItemsAsync(over));
    }

    async Task<string> Jump(Step step, CancellationToken over)
    {
        var unread = Equals(step["to"], "FirstUnread");
        using (var list = await Of(step).TimelineAsync(Room(step), over))
        {
            var to = unread ? (Anchor)new Anchor.FirstUnread() : new Anchor.Date(DateTimeOffset.FromUnixTimeSeconds(Number(step, "to")));
            await list.JumpAsync(to, over);
            await list.NextAsync(over);
            var items = await list.ItemsAsync(over);
            var first = Messages(unread ? items.SkipWhile(item => !(item is TimelineItem.NewLine)) : items).First().Text;
            if (first != Text(step, "is")) throw new Exception("shows " + first);
            return first;
        }
    }
}
