using System;
using System.Threading.Tasks;
using Madang;

// Makes a room without a server, and asks for one that is not there.
static class Consumer
{
    static async Task Main()
    {
        var config = new ClientConfig("http://127.0.0.1:1", new StoreLocation.Memory());
        using var client = await Client.OpenAsync(config, Tokens.From(_ => Task.FromResult("t")));
        using var rooms = await client.RoomsAsync();
        await client.CreateRoomAsync(new NewRoom("lunch"));
        await foreach (var _ in rooms.ChangesAsync()) break;
        Console.WriteLine((await rooms.ItemsAsync())[0].Name);
        try
        {
            await client.ServerInfoAsync();
        }
        catch (ClientException failure)
        {
            Console.WriteLine(failure.Sentence(Language.English));
        }
    }
}
