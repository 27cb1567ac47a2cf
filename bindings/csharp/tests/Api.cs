using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;

// The public surface of an assembly, a line each: Api ASSEMBLY FILE
static class Api
{
    static int Main(string[] arguments)
    {
        var lines = new List<string>();
        foreach (var type in Assembly.LoadFrom(Path.GetFullPath(arguments[0])).GetExportedTypes()) lines.AddRange(Of(type));
        lines.Sort(string.CompareOrdinal);
        File.WriteAllText(arguments[1], string.Join("\n", lines) + "\n", new UTF8Encoding(false));
        return 0;
    }

    static IEnumerable<string> Of(Type type)
    {
        var name = Name(type);
        var kind = type.IsEnum ? "enum" : type.IsInterface ? "interface" : type.IsAbstract && type.IsSealed ? "static class" : type.IsAbstract ? "abstract class" : "class";
        yield return name + ": " + kind + (type.BaseType == null || type.BaseType == typeof(object) || type.IsEnum ? "" : " of " + Name(type.BaseType));
        if (type.IsEnum)
        {
            foreach (var value in Enum.GetNames(type)) yield return name + "." + value;
            yield break;
        }
        const BindingFlags own = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var constructor in type.GetConstructors(own)) yield return name + "(" + Arguments(constructor) + ")";
        foreach (var property in type.GetProperties(own)) yield return name + "." + property.Name + ": " + Name(property.PropertyType);
        // Values have equality; that is no news of each.
        foreach (var method in type.GetMethods(own).Where(method => !method.IsSpecialName && method.GetBaseDefinition() == method))
            yield return name + "." + method.Name + "(" + Arguments(method) + "): " + Name(method.ReturnType);
    }

    static string Arguments(MethodBase method)
    {
        return string.Join(", ", method.GetParameters().Select(one => Name(one.ParameterType) + " " + one.Name + (one.IsOptional ? " = " + Default(one) : "")));
    }

    static string Default(ParameterInfo parameter)
    {
        return parameter.RawDefaultValue == null ? (parameter.ParameterType.IsValueType ? "default" : "null") : parameter.RawDefaultValue is string ? "\"" + parameter.RawDefaultValue + "\"" : parameter.RawDefaultValue.ToString();
    }

    static string Name(Type type)
    {
        if (type.IsGenericParameter) return type.Name;
        var of = Nullable.GetUnderlyingType(type);
        if (of != null) return Name(of) + "?";
        if (type.IsArray) return Name(type.GetElementType()) + "[]";
        var name = type.IsNested ? Name(type.DeclaringType) + "." + type.Name : type.Name;
        if (!type.IsGenericType) return name;
        return name.Split('`')[0] + "<" + string.Join(", ", type.GetGenericArguments().Select(Name)) + ">";
    }
}
