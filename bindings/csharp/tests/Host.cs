using System;
using System.Threading;
using System.Threading.Tasks;
using Madang;

// The host of a client: has a sign-in at the issuer, and answers the client's questions for a token.
sealed class Host
{
    static int next;

    readonly Ground ground;
    volatile string answer = "anew";
    volatile int signIn = Interlocked.Increment(ref next);
    int renewals;

    internal string Login { get; private set; }
    internal ITokenProvider Tokens { get; private set; }

    internal Host(Ground ground, string login)
    {
        this.ground = ground;
        Login = login;
        Tokens = Madang.Tokens.From(fresh => Task.Run(() => Token(fresh)));
    }

    // What it answers from now on: anew, missing or sign_in.
    internal void Answers(string how)
    {
        if (how == "anew") signIn = Interlocked.Increment(ref next);
        answer = how;
    }

    // Waits until a fresh token is wanted.
    internal async Task Renewed(CancellationToken over)
    {
        var before = Volatile.Read(ref renewals);
        while (Volatile.Read(ref renewals) == before) await Task.Delay(20, over);
    }

    string Token(bool fresh)
    {
        if (fresh) Interlocked.Increment(ref renewals);
        if (answer == "missing") throw new InvalidOperationException("no token for now");
        if (answer == "sign_in") throw new SignInNeededException("sign in");
        return (string)ground.Say((fresh ? "fresh " : "token ") + Login + " " + signIn)["token"];
    }
}
