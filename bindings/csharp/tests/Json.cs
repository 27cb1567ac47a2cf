using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

// JSON of test programs: objects, lists, texts, numbers, booleans. Throws where it is none.
sealed class Json
{
    readonly string text;
    int at;

    Json(string text) { this.text = text; }

    internal static object Parse(string text)
    {
        var reader = new Json(text);
        var value = reader.Value();
        reader.Space();
        if (reader.at != text.Length) throw new FormatException("more than one value");
        return value;
    }

    void Space() { while (at < text.Length && char.IsWhiteSpace(text[at])) at++; }

    bool Skip(char wanted)
    {
        Space();
        if (at >= text.Length || text[at] != wanted) return false;
        at++;
        return true;
    }

    void Need(char wanted) { if (!Skip(wanted)) throw new FormatException("no " + wanted + " at " + at); }

    object Value()
    {
        Space();
        switch (text[at])
        {
            case '{': return Members();
            case '[': return Items();
            case '"': return Text();
            default: return Word();
        }
    }

    Dictionary<string, object> Members()
    {
        var members = new Dictionary<string, object>();
        Need('{');
        if (Skip('}')) return members;
        do { Space(); var name = Text(); Need(':'); members[name] = Value(); } while (Skip(','));
        Need('}');
        return members;
    }

    List<object> Items()
    {
        var items = new List<object>();
        Need('[');
        if (Skip(']')) return items;
        do { items.Add(Value()); } while (Skip(','));
        Need(']');
        return items;
    }

    string Text()
    {
        var value = new StringBuilder();
        Need('"');
        for (; text[at] != '"'; at++)
        {
            if (text[at] != '\\') { value.Append(text[at]); continue; }
            at++;
            if (text[at] == 'u') { value.Append((char)int.Parse(text.Substring(at + 1, 4), NumberStyles.HexNumber)); at += 4; }
            else value.Append("\"\\/\b\f\n\r\t"["\"\\/bfnrt".IndexOf(text[at])]);
        }
        at++;
        return value.ToString();
    }

    object Word()
    {
        var begin = at;
        while (at < text.Length && ",]} \r\n\t".IndexOf(text[at]) < 0) at++;
        var word = text.Substring(begin, at - begin);
        if (word == "true" || word == "false") return word == "true";
        return word == "null" ? null : (object)long.Parse(word, CultureInfo.InvariantCulture);
    }
}
