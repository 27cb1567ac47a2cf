/** The contract's nouns as plain data: numbers are numbers, times are dates, names are texts. */

/** What kind of room. */
export type RoomKind = "Unspecified" | "Dm" | "Group" | "Open" | "Anonymous";

/** Who may do something in a room. */
export type WhoMay = "Unspecified" | "Everyone" | "Admins";

/** Rules of a room. */
export interface RoomSettings {
  /** Who may post. */
  readonly whoMayPost: WhoMay;
  /** Who may invite. */
  readonly whoMayInvite: WhoMay;
  /** Who may pin. */
  readonly whoMayPin: WhoMay;
  /** Newcomers see nothing from before they came. */
  readonly historyHiddenFromNewcomers: boolean;
  /** Days that messages are kept; 0: for good. */
  readonly retentionDays: number;
  /** Most members; 0: the server's limit. */
  readonly memberLimit: number;
}

/** How somebody stands to a room. */
export type MemberState = "Unspecified" | "Joined" | "Left" | "Removed" | "Banned" | "Invited";

/** What a member may do. */
export type MemberRole = "Unspecified" | "Member" | "Admin";

/** A member as others may see them. */
export interface Member {
  /** The room. */
  readonly roomId: string;
  /** The person. */
  readonly userId: string;
  /** How they stand to the room. */
  readonly state: MemberState;
  /** What they may do. */
  readonly role: MemberRole;
  /** Name in this room; empty: none. */
  readonly nickname: string;
  /** When they came. */
  readonly joinedAt: Date | undefined;
}

/** What a person says about being reachable. */
export type UserStatus = "Unspecified" | "Online" | "Away" | "Busy" | "Offline";

/** A status in the person's own words. */
export interface CustomStatus {
  /** One emoji; may be empty. */
  readonly emoji: string;
  /** At most 100 characters. */
  readonly text: string;
  /** When it ends by itself; absent: never. */
  readonly until?: Date | undefined;
}

/** Whether an account may be used. */
export type UserState = "Unspecified" | "Active" | "Disabled" | "Locked" | "Expired" | "Deleted";

/** A person's public profile. Fields that a privacy setting hides are empty. */
export interface User {
  /** Our id of the person. */
  readonly id: string;
  /** Name at sign-in. */
  readonly login: string;
  /** Shown name. */
  readonly displayName: string;
  /** Job title. */
  readonly title: string;
  /** What the person says about being reachable. */
  readonly status: UserStatus;
  /** A status in the person's own words. */
  readonly customStatus: CustomStatus | undefined;
  /** Phone number. */
  readonly phone: string;
  /** E-mail address. */
  readonly email: string;
  /** A few lines about the person. */
  readonly bio: string;
  /** Number in the company. */
  readonly employeeNo: string;
  /** Whether the account may be used. */
  readonly state: UserState;
}

/** Where a person is or was signed in. */
export interface DeviceSession {
  /** The installation. */
  readonly deviceId: string;
  /** It is this one. */
  readonly current: boolean;
  /** Operating system or kind. */
  readonly platform: string;
  /** Version of the app. */
  readonly appVersion: string;
  /** Network address last seen. */
  readonly address: string;
  /** What its browser calls itself. */
  readonly userAgent: string;
  /** When it was first seen. */
  readonly createdAt: Date | undefined;
  /** When it was last seen. */
  readonly lastSeenAt: Date | undefined;
  /** It is connected now. */
  readonly live: boolean;
  /** When it was revoked; absent: it was not. */
  readonly revokedAt: Date | undefined;
}

/** What a server says about itself. */
export interface ServerInfo {
  /** Its version. */
  readonly version: string;
  /** Who signs people in: an OpenID Connect issuer. */
  readonly issuer: string;
  /** The client id to sign in with. */
  readonly clientId: string;
  /** Longest message. */
  readonly messageCharacters: number;
  /** What it can do beyond the first version. */
  readonly features: readonly string[];
}

/** What happened in a room. Unspecified: something that this version does not know. */
export type SystemKind =
  | "Unspecified"
  | "Created"
  | "Invited"
  | "Joined"
  | "Left"
  | "Removed"
  | "Banned"
  | "Role"
  | "Renamed"
  | "Notice"
  | "Pinned"
  | "Settings";
