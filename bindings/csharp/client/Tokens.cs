using System;
using System.Threading.Tasks;

namespace Madang
{
    /// <summary>Thrown by a source of tokens when the person must sign in again.</summary>
    public sealed class SignInNeededException : Exception
    {
        /// <summary>With words for the log.</summary>
        public SignInNeededException(string message) : base(message) { }
    }

    /// <summary>Sources of access tokens.</summary>
    public static class Tokens
    {
        /// <summary>
        /// Tokens from a function: it is told whether a fresh one is wanted, and has 20 s. Throws
        /// <see cref="SignInNeededException"/> when the person must sign in; after anything else the client asks again.
        /// </summary>
        public static ITokenProvider From(Func<bool, Task<string>> source)
        {
            if (source == null) throw new ArgumentNullException("source");
            return new Source(source);
        }

        sealed class Source : ITokenProvider
        {
            readonly Func<bool, Task<string>> source;

            internal Source(Func<bool, Task<string>> source) { this.source = source; }

            // The library waits for an answer, not for this.
            public void TokenWanted(TokenRequest request) { Task.Run(() => Answer(request)); }

            async Task Answer(TokenRequest request)
            {
                using (request)
                {
                    try { request.Give(await source(request.IsFresh()).ConfigureAwait(false)); }
                    catch (SignInNeededException needed) { request.SignInNeeded(needed.Message); }
                    catch (Exception failure) { request.Fail(failure.GetType().Name + ": " + failure.Message); }
                }
            }
        }
    }
}
