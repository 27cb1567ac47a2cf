package madang.java;

import java.io.IOException;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The public surface of a folder of classes, a line each, as a JVM sees it: Api CLASSES FILE */
final class Api {
  /** What uniffi's code is made of: public, because Kotlin must inline it, and nobody's to use. */
  private static final Pattern INSIDE =
      Pattern.compile("(?i).*(ffi|RustBuffer|ForeignBytes|NoHandle|Disposable|ErrorHandler|JnaCleaner|IDX_).*");
  /** Values have these; that is no news of each. */
  private static final Pattern OF_VALUES =
      Pattern.compile("component\\d+|copy|equals|hashCode|toString|getEntries|valueOf|values|destroy|.*[$-].*");

  private Api() {}

  public static void main(String[] arguments) throws Exception {
    List<String> lines = new ArrayList<>();
    for (Class<?> type : types(Path.of(arguments[0]))) lines.addAll(of(type));
    lines.sort(Comparator.naturalOrder());
    Files.write(Path.of(arguments[1]), lines);
  }

  /** The public classes of a folder. */
  static List<Class<?>> types(Path folder) throws IOException, ClassNotFoundException {
    List<Class<?>> types = new ArrayList<>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(one -> one.toString().endsWith(".class")).collect(Collectors.toList())) {
        String name = folder.relativize(file).toString().replace('/', '.').replace(".class", "");
        if (name.startsWith("META-INF")) continue;
        Class<?> type = Class.forName(name, false, Api.class.getClassLoader());
        if (isOpen(type)) types.add(type);
      }
    }
    return types;
  }

  private static boolean isOpen(Class<?> type) {
    boolean open = Modifier.isPublic(type.getModifiers()) && !type.isSynthetic() && !type.isAnonymousClass();
    Class<?> outer = type.getDeclaringClass();
    return open && !type.getName().endsWith("$Companion") && !INSIDE.matcher(type.getName()).matches()
        && (outer == null || isOpen(outer));
  }

  /** What others may call of a type. */
  static List<Executable> callable(Class<?> type) {
    return Stream.concat(Arrays.stream(type.getDeclaredConstructors()), Arrays.stream(type.getDeclaredMethods()))
        .filter(one -> Modifier.isPublic(one.getModifiers()) && !one.isSynthetic() && !OF_VALUES.matcher(one.getName()).matches())
        .filter(one -> Stream.of(one.getParameterTypes()).noneMatch(of -> INSIDE.matcher(of.getName()).matches()))
        .filter(one -> !INSIDE.matcher(one.getName()).matches())
        .collect(Collectors.toList());
  }

  private static List<String> of(Class<?> type) {
    List<String> lines = new ArrayList<>();
    String kind = type.isEnum() ? "enum" : type.isInterface() ? "interface" : "class";
    Class<?> base = type.getSuperclass();
    lines.add(name(type) + ": " + kind + (base == null || base == Object.class || type.isEnum() ? "" : " of " + name(base)));
    for (Field field : type.getDeclaredFields()) {
      boolean open = Modifier.isPublic(field.getModifiers()) && !field.getName().equals("Companion")
          && !INSIDE.matcher(field.getName()).matches();
      if (open) lines.add(name(type) + "." + field.getName() + ": " + name(field.getGenericType()));
    }
    for (Executable one : callable(type)) {
      String taken = Arrays.stream(one.getGenericParameterTypes()).map(Api::name).collect(Collectors.joining(", ", "(", ")"));
      boolean isMethod = one instanceof Method;
      lines.add(name(type) + (isMethod ? "." + one.getName() : "") + taken
          + (isMethod ? ": " + name(((Method) one).getGenericReturnType()) : ""));
    }
    return lines;
  }

  private static String name(Type type) {
    return type.getTypeName().replaceAll("\\b(madang|madang\\.java|java\\.(lang|util|time|util\\.concurrent))\\.(?=[A-Z])", "").replace('$', '.');
  }
}
