import "../design/tokens.css";
import "../design/base.css";
import "./app.css";
import { createRoot } from "react-dom/client";
import { Page } from "./Page.js";

const place = document.getElementById("app");
if (place) createRoot(place).render(<Page />);
