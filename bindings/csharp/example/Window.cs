using System;
using System.Collections.Specialized;
using System.Drawing;
using System.Threading.Tasks;
using System.Windows.Forms;
using Madang;

// A live room list in a window of WinForms: Window SERVER STORE, and a token in the environment. What is typed goes into the
// room that is selected; with none, or with Ctrl, it makes a room of that name.
sealed class Window : Form
{
    readonly string server;
    readonly string store;
    readonly ListBox list = new ListBox { Dock = DockStyle.Fill, IntegralHeight = false, BackColor = Color.White, Font = new Font("DejaVu Sans", 11) };
    readonly TextBox typed = new TextBox { Dock = DockStyle.Bottom, Font = new Font("DejaVu Sans", 11) };
    Client client;
    LiveList<RoomItem> rooms;

    Window(string server, string store)
    {
        this.server = server;
        this.store = store;
        Text = "Madang";
        ClientSize = new Size(420, 260);
        Controls.Add(list);
        Controls.Add(typed);
        typed.KeyDown += async (sender, key) => { if (key.KeyCode == Keys.Enter) await Say(key.Control); };
        Load += async (sender, loaded) => await Open();
        FormClosed += (sender, closed) => { if (rooms != null) rooms.Dispose(); if (client != null) client.Dispose(); };
    }

    [STAThread]
    static int Main(string[] arguments)
    {
        if (arguments.Length != 2) { Console.WriteLine("Window SERVER STORE"); return 2; }
        Application.Run(new Window(arguments[0], arguments[1]));
        return 0;
    }

    async Task Open()
    {
        try
        {
            // An app asks its sign-in library here, and gives a fresh token when one is wanted.
            var tokens = Tokens.From(fresh => Task.FromResult(Environment.GetEnvironmentVariable("MADANG_TOKEN")));
            var config = new ClientConfig(server, new StoreLocation.File(store), platform: "window");
            client = await Client.OpenAsync(config, tokens);
            // Opened on the thread of the window, so it changes there.
            rooms = await (await client.RoomsAsync()).ObserveAsync();
            ((INotifyCollectionChanged)rooms).CollectionChanged += (sender, change) => Fill();
            Fill();
            await ShowStates();
        }
        catch (ClientException failure) { Text = failure.Sentence(Language.English); }
    }

    async Task ShowStates()
    {
        using (var states = client.States())
        {
            ConnectionState state;
            while ((state = await states.NextAsync()) != null && !IsDisposed) Text = "Madang: " + state.GetType().Name;
        }
    }

    void Fill()
    {
        var selected = list.SelectedIndex;
        list.BeginUpdate();
        list.Items.Clear();
        foreach (var room in rooms)
        {
            var message = room.LastMessage as TimelineItem.Message;
            list.Items.Add(room.Name + " (" + room.Unread + ")  " + (message == null ? "" : message.Value.Sender.Name + ": " + message.Value.Text));
        }
        list.EndUpdate();
        if (selected < list.Items.Count) list.SelectedIndex = selected;
    }

    async Task Say(bool another)
    {
        var text = typed.Text;
        if (text.Length == 0 || rooms == null) return;
        typed.Clear();
        try
        {
            if (another || list.SelectedIndex < 0) await client.CreateRoomAsync(new NewRoom(text));
            else await client.SendAsync(rooms[list.SelectedIndex].Id, new Draft(text));
        }
        catch (ClientException refusal) { MessageBox.Show(refusal.Sentence(Language.English)); }
    }
}
