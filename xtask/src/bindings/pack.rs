//! Packages as they are handed out: `NuGet` for C#, jars for JVMs, an AAR for Android; each is opened again and looked into.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

use super::{LIBRARY, csharp, dotnet::Dotnet, jvm, natives, place};
use crate::{
    packages,
    run::{Cargo, root, target},
};

/// Processors of Android, as an AAR calls them and as Rust does.
const ANDROID: [(&str, &str); 3] = [
    ("arm64-v8a", "aarch64-linux-android"),
    ("armeabi-v7a", "armv7-linux-androideabi"),
    ("x86_64", "x86_64-linux-android"),
];

/// Least page, in bytes, that Android 15 wants the parts of a library to lie on.
const PAGE: u64 = 16 << 10;

/// Native libraries as they are handed out, and everything that carries them.
pub(super) fn pack() -> Result<()> {
    csharp::build()?;
    natives::stage_released()?;
    nuget(&Dotnet::fetch()?)?;
    jvm::package()?;
    jar()?;
    let bare = aar()?.is_empty();
    println!("packages are in {}", packages().display());
    if bare {
        println!("the AAR has no library: none was built for Android, for which there must be an NDK");
    }
    Ok(())
}

/// Builds and packs C# with the libraries that are staged; the package, unpacked.
pub(super) fn nuget(dotnet: &Dotnet) -> Result<PathBuf> {
    packages::need_unzip()?;
    dotnet.pack(&root().join("bindings/csharp/Madang.Client.csproj"), &packages())?;
    let unpacked = unpack(&packages().join(format!("Madang.Client.{}.nupkg", version())), "nuget")?;
    let mut wanted: Vec<PathBuf> = ["netstandard2.0", "netstandard2.1"]
        .iter()
        .flat_map(|base| ["dll", "xml"].map(|end| Path::new("lib").join(base).join(format!("Madang.Client.{end}"))))
        .collect();
    wanted.push("Madang.Client.nuspec".into());
    wanted.extend(staged("csharp/runtimes")?.into_iter().map(|library| Path::new("runtimes").join(library)));
    check(&unpacked, &wanted)?;
    Ok(unpacked)
}

/// The jar for JVMs has the library of each platform where JNA looks for it, and its descriptor what it depends on.
pub(super) fn jar() -> Result<()> {
    packages::need_unzip()?;
    for artifact in ["madang-bindings", "madang-client", "madang-client-java"] {
        let descriptor = handed_out(artifact, "pom");
        ensure!(descriptor.exists(), "{} is not there", descriptor.display());
    }
    let unpacked = unpack(&handed_out("madang-client", "jar"), "jar")?;
    let mut wanted = vec![PathBuf::from("madang/Client.class"), RULES.into()];
    wanted.extend(staged("natives")?);
    check(&unpacked, &wanted)
}

/// Where packages are.
pub(super) fn packages() -> PathBuf {
    place("packages")
}

/// Where artifacts are, as Maven finds them.
pub(super) fn repository() -> PathBuf {
    packages().join("maven")
}

fn handed_out(artifact: &str, end: &str) -> PathBuf {
    repository().join("madang").join(artifact).join(version()).join(format!("{artifact}-{}.{end}", version()))
}

/// The rules for R8 that apps take over.
const RULES: &str = "META-INF/proguard/madang-client.pro";

/// Puts an AAR together from the jar and from the libraries that were built for Android; for which processors it has one.
pub(super) fn aar() -> Result<Vec<&'static str>> {
    let folder = fresh("aar")?;
    let classes = unpack(&handed_out("madang-client", "jar"), "aar-classes")?;
    fs::rename(classes.join(RULES), folder.join("proguard.txt"))?;
    for library in staged("natives")? {
        fs::remove_file(classes.join(library))?;
    }
    zip(&classes, &folder.join("classes.jar"))?;
    fs::copy(root().join("bindings/kotlin/src/main/AndroidManifest.xml"), folder.join("AndroidManifest.xml"))?;
    // An AAR must have it, also without resources.
    fs::write(folder.join("R.txt"), "")?;
    let mut there = Vec::new();
    for (name, triple) in ANDROID {
        let built = target().join(triple).join(natives::PROFILE).join(LIBRARY);
        if built.exists() {
            let pages = natives::pages(&built)?;
            let small = pages.iter().find(|page| **page < PAGE);
            ensure!(small.is_none(), "{}: a part lies on pages of {small:?} bytes", built.display());
            let library = folder.join("jni").join(name).join(LIBRARY);
            fs::create_dir_all(library.with_file_name(""))?;
            Cargo::program("llvm-strip").arg("-o").arg(&library).arg(&built).run()?;
            there.push(name);
        }
    }
    let file = packages().join(format!("madang-client-{}.aar", version()));
    zip(&folder, &file)?;
    let mut wanted: Vec<PathBuf> =
        ["classes.jar", "AndroidManifest.xml", "proguard.txt", "R.txt"].map(Into::into).into();
    wanted.extend(there.iter().map(|name| Path::new("jni").join(name).join(LIBRARY)));
    check(&unpack(&file, "aar-unpacked")?, &wanted)?;
    Ok(there)
}

/// That of the packages is the workspace's.
pub(super) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Libraries that are staged in a folder, from there.
fn staged(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = place(folder);
    let found = files(&folder)?;
    let found: Vec<PathBuf> =
        found.iter().filter_map(|file| Some(file.strip_prefix(&folder).ok()?.to_owned())).collect();
    ensure!(!found.is_empty(), "no library is in {}", folder.display());
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

/// All of these are in it, and none is empty but what may be.
fn check(unpacked: &Path, wanted: &[PathBuf]) -> Result<()> {
    for file in wanted {
        let there = fs::metadata(unpacked.join(file));
        let good = there.is_ok_and(|there| there.len() > 0 || file.ends_with("R.txt"));
        ensure!(good, "{} is not in the package in {}", file.display(), unpacked.display());
    }
    Ok(())
}

fn fresh(name: &str) -> Result<PathBuf> {
    let folder = packages().join("look").join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn unpack(package: &Path, name: &str) -> Result<PathBuf> {
    let folder = fresh(name)?;
    Cargo::program("unzip").arg("-q").arg(package).arg("-d").arg(&folder).run()?;
    // `NuGet` says of no file who may read it.
    Cargo::program("chmod").args(["-R", "u+rwX"]).arg(&folder).run()?;
    Ok(folder)
}

/// An archive without a manifest of its own, by the JDK.
fn zip(folder: &Path, file: &Path) -> Result<()> {
    Cargo::program("jar").args(["--create", "--no-manifest", "--file"]).arg(file).arg("-C").arg(folder).arg(".").run()
}
