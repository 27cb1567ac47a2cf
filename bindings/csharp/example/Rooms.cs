using System;
using System.Linq;
using System.Threading.Tasks;
using Madang;

// A live room list in a console: Rooms SERVER STORE, and a token in the environment. What is typed is `NUMBER TEXT`: a message
// into the room with that number, or `new NAME`. An empty line ends it.
static class Rooms
{
    static int Main(string[] arguments)
    {
        if (arguments.Length != 2) { Console.WriteLine("Rooms SERVER STORE"); return 2; }
        try { Run(arguments[0], arguments[1]).GetAwaiter().GetResult(); }
        catch (ClientException failure)
        {
            Console.WriteLine(failure.Sentence(Language.English));
            return 1;
        }
        return 0;
    }

    static async Task Run(string server, string store)
    {
        // An app asks its sign-in library here, and gives a fresh token when one is wanted.
        var tokens = Tokens.From(fresh => Task.FromResult(Environment.GetEnvironmentVariable("MADANG_TOKEN")));
        var config = new ClientConfig(server, new StoreLocation.File(store), platform: "console");
        using (var client = await Client.OpenAsync(config, tokens))
        {
            var states = Task.Run(() => ShowStates(client));
            using (var rooms = await (await client.RoomsAsync()).ObserveAsync())
            {
                // Without a window there is no thread of its own: changes come on one of the pool.
                ((System.Collections.Specialized.INotifyCollectionChanged)rooms).CollectionChanged += (sender, change) => Show(rooms);
                Show(rooms);
                string line;
                while (!string.IsNullOrEmpty(line = Console.ReadLine())) await Obey(client, rooms, line);
            }
            await client.ShutdownAsync(TimeSpan.FromSeconds(5));
            await states;
        }
    }

    static async Task ShowStates(Client client)
    {
        using (var states = client.States())
        {
            ConnectionState state;
            do
            {
                state = await states.NextAsync();
                Console.WriteLine("-- " + state.GetType().Name);
            } while (!(state is ConnectionState.Ended));
        }
    }

    static void Show(LiveList<RoomItem> rooms)
    {
        foreach (var room in rooms.ToList())
        {
            var message = room.LastMessage as TimelineItem.Message;
            var last = message == null ? "" : message.Value.Sender.Name + ": " + message.Value.Text;
            Console.WriteLine((rooms.IndexOf(room) + 1) + ". " + room.Name + " (" + room.Unread + ") " + last);
        }
    }

    static async Task Obey(Client client, LiveList<RoomItem> rooms, string line)
    {
        var words = line.Split(new[] { ' ' }, 2);
        int number;
        try
        {
            if (words.Length < 2) Console.WriteLine("NUMBER TEXT, or new NAME");
            else if (words[0] == "new") await client.CreateRoomAsync(new NewRoom(words[1]));
            else if (int.TryParse(words[0], out number) && number > 0 && number <= rooms.Count)
            {
                // It is on the disk when this returns, with a network or without.
                await client.SendAsync(rooms[number - 1].Id, new Draft(words[1]));
            }
            else Console.WriteLine("no such room");
        }
        catch (ClientException refusal) { Console.WriteLine(refusal.Sentence(Language.English)); }
    }
}
