/** Small words for building the page. */

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element. @param {string} tag @param {object} properties @param {...(Node | string)} children */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { dataset = {}, ...others } = properties;
  Object.assign(element, others);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}
